"""The reward model's page, rendered from a card that the stage's own functions make of small synthetic data."""

import copy
from dataclasses import fields

import numpy as np
import polars as pl
import pytest

from components.train_reward import evidence, explain, learning, metrics, page, plots, procedure
from components.train_reward.config import Config
from memozy.records import RATING_LEVELS, nearest_level
from memozy.reports import drawing, number, percent
from memozy.reward.calibration import Calibration
from memozy.reward.features import Features
from memozy.reward.gate import Gate
from memozy.reward.model import combine_votes
from memozy.reward.surface import SURFACE
from tests.pages import EVIL, Page

CONFIG = Config(bootstrap=100)
WORDS = ("바다에 갔다.", "친구와 국수를 먹었다!", "바람이 시원했다.", "일기를 작성했습니다.", "조용한 골목을 걸었다.")


def said_of(votes, ratings, calibration):
    """(R, n) votes of one member as a Prediction of R repeats; of the first repeat one row is shut out."""
    shut = np.zeros(votes.shape, bool)
    shut[0, 0] = True
    each = [combine_votes(v[None], np.ones(1), s, s & False, calibration) for v, s in zip(votes, shut, strict=True)]
    return type(each[0])(*(np.stack([getattr(p, f.name) for p in each]) for f in fields(each[0])))


@pytest.fixture(scope="module")
def made():
    """card, predictions and worst errors: 120 training rows in 30 groups, 24 test rows in 6, all parts known."""
    rng = np.random.default_rng(3)
    ratings = rng.choice(RATING_LEVELS, 144, p=(0.1, 0.1, 0.3, 0.3, 0.2))
    groups, n = np.array([f"g{i // 4}" for i in range(144)]), 120
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 6))) + f" {i}" for i in range(144)]
    copies = np.where(ratings[:n] == -1, 3, 1)
    rows = procedure.Rows(Features(texts[:n], CONFIG.encoder), ratings[:n], copies, groups[:n])
    good = 0.15 + 0.5 * ratings + rng.normal(0, 0.25, (2, 144))
    calibration = Calibration.fit(good[0, :n], ratings[:n], CONFIG.coverage)
    constant = np.full((2, n), ratings[:n].mean())
    votes = {"constant": constant, "ensemble": good[:, :n], "ensemble_copies": good[:, :n] - 0.1,
             "ridge": 0.7 * good[:, :n], procedure.SELECTED: good[:, :n] * 0.95}  # fmt: skip
    said = procedure.Said({k: said_of(v, ratings[:n], calibration) for k, v in votes.items()}, {})
    once, tested = (
        said.first("ensemble"),
        combine_votes(good[:1, n:], np.ones(1), *np.zeros((2, 24), bool), calibration),
    )
    mean_score, settings = said.candidates["ensemble"].score.mean(axis=0), {"n": 100, "seed": 0}
    arms = [None] * 144
    of = {part: evidence.quality(said.candidates[name], ratings[:n], arms[:n], constant, groups[:n], CONFIG)
          for part, name in (("train_cv", "ensemble"), ("recipe_cv", procedure.SELECTED))}  # fmt: skip
    of["test"] = evidence.quality(tested, ratings[n:], arms[n:], ratings[:n].mean(), groups[n:], CONFIG)
    points = [{"share": s, "n_rows": 96.0 * s, "mse": 0.1 + 5 / (96 * s)} for s in learning.SHARES]
    curve = metrics.learning_curve_fit([p["n_rows"] for p in points], [p["mse"] for p in points])
    gate = Gate.around(texts[:n], ratings[:n], groups[:n])
    twice = np.where(np.arange(n) < 40, 2, 1)
    card = {
        "model_hash": "c0ffee" * 10, "simulated": False, "champion": "ensemble", "weights": {"ridge": 0.25, "kernel": 0.75},
        "encoder": "usem3", "rule": procedure.RULE, "metrics": of,
        "candidates": evidence.leaderboard(said, rows, "ensemble", CONFIG),
        "data": {"digest": "5b0c" * 16, "train_rows": n, "test_rows": 24, "train_groups": 30, "test_groups": 6,
                 "folds": 5, "repeats": 2,
                 "levels": {"train": evidence.counts(ratings[:n]), "test": evidence.counts(ratings[n:]),
                            "train, with copies": evidence.counts(ratings[:n], copies)}},
        "surrogates": evidence.did_it_help(procedure.SURROGATES, 40, said, rows, CONFIG),
        "copies": evidence.did_it_help(procedure.COPIES, round(float(rows.copies.sum())), said, rows, CONFIG),
        "gold": {"rows": 24, "groups": 6, "unseen_rows": 120, "spearman": [0.41, 0.28, 0.52], "r2": [0.15, 0.02, 0.27],
                 "shut": 0.0167, "usable": True},
        "guards": {"shortest": gate.shortest, "limits": gate.limits, "familiar": gate.familiar, "shut": 0.0083,
                   "unfamiliar": 0.0, "cap": 0.29},
        "intervals": {"stated": 0.9, "reach": 1.71, "out_of_fold": of["train_cv"]["coverage"],
                      "out_of_fold_interval": of["train_cv"]["intervals"]["coverage"], "test": of["test"]["coverage"]},
        "residual_sd": calibration.residual_sd,
        "ceiling": explain.human_ceiling(ratings[:n], np.where(twice > 1, 0.09, np.nan), twice, **settings),
        "residuals": explain.residuals_by_level(mean_score, ratings[:n]),
        "rubric": explain.rubric_view(rows.features.surface, SURFACE, mean_score, ratings[:n], groups[:n], **settings),
        "contributions": {"candidate": "ridge", "columns": [("kinds_of_richness", 0.061), ("slips", -0.043)]},
        "importance": [{"part": "rubric: length", "rise": [0.041, 0.02, 0.06]},
                       {"part": "character n-grams", "rise": [0.003, -0.001, 0.008]}],
        "length_bias": explain.length_bias(texts[n:], lambda t: np.array([len(x) / 500 for x in t]), ratings[n:],
                                           tested.score, groups[n:], **settings),
        "learning": {"points": points, "floor": curve.floor, "scale": curve.scale, "exponent": curve.exponent,
                     "gain": list(curve.gain), "sentence": "Whether more ratings help is not clear: about 0.131."},
        "cost_usd": 0.0,
    }  # fmt: skip
    card = evidence.plain({**card, "weaknesses": evidence.weaknesses(card)})
    predictions = pl.DataFrame({
        "diary_id": [f"d{i}" for i in range(144)], "group_id": groups, "split": ["train"] * n + ["test"] * 24,
        "text": texts, "rating": ratings, "predicted": [*once.score, *tested.score],
        "median": [*once.median, *tested.median], "low": [*once.low, *tested.low], "high": [*once.high, *tested.high],
    })  # fmt: skip
    return card, predictions, explain.worst(texts[:n], mean_score, ratings[:n], predictions["diary_id"].to_list()[:n])


@pytest.fixture
def evident(made):
    card, predictions, worst = made
    return copy.deepcopy(card), predictions, copy.deepcopy(worst)


@pytest.fixture(scope="module")
def html(made):
    return page.render(*made)


def test_every_figure_shown_is_the_cards(made, html):
    card, _, worst = made
    shown = Page(html)
    for row in card["candidates"]:
        cells = shown.row(row["name"] + (" " if row["name"] == "ensemble" else ""))
        behind = "–" if row["champion"] else number(row["behind"][0], 4) + page.between(row["behind"][1:], 4)
        assert cells == [number(row["mse"], 3) + page.between(row["interval"]), behind, number(row["r2"]),
                         number(row["mae"], 3), number(row["spearman"]), number(row["kappa"])]  # fmt: skip
    for name, (title, digits, _, _) in page.MEASURES.items():
        for part, cell in zip(page.PARTS, shown.row(title), strict=False):
            found = card["metrics"][part]
            assert cell == number(found[name], digits) + page.between(found["intervals"][name], digits)
    test, cv = card["metrics"]["test"], card["metrics"]["recipe_cv"]
    assert shown.row("MSE of the score")[3] == f"{test['constant_mse']:.3f}; {cv['constant_mse']:.3f}"
    assert f"a gain of {page.spread(test['gain'][0], test['gain'][1:])}" in shown.text
    assert f"R² {page.spread(cv['r2'], cv['intervals']['r2'], 2)}" in shown.text
    for row in card["rubric"]:
        assert shown.row(row["criterion"])[0] == number(row["rating"][0]) + page.between(row["rating"][1:], 2)
        assert shown.row(row["criterion"])[3] == row["verdict"]
    for way, padded in card["length_bias"]["padding"].items():
        assert shown.row(way)[1] == percent(padded["gain"])
    limits = [cells[1:] for cells in shown.rows if cells[0] == "characters, at most"]
    most, familiar = (card["guards"][field]["characters"] for field in ("limits", "familiar"))
    assert limits == [[f"{most:.0f}", "−1"], [f"{familiar:.0f}", "0.29 at most"]]
    least, *bounds = card["ceiling"]["least_mse"]
    for said in (card["copies"]["verdict"], card["learning"]["sentence"], card["rule"], card["data"]["digest"],
                 card["length_bias"]["verdict"], "0.8 % were shut out", "ridge (0.25), kernel (0.75)",
                 "40 diaries with two ratings or more", f"be expected below an MSE of {page.spread(least, bounds)}",
                 *card["weaknesses"]):  # fmt: skip
        assert said in shown.text, said
    for row in (*worst["over"], *worst["under"]):
        assert f"{row['text']}rating {row['rating']:.2f} · score {row['score']:.2f} · {row['id']}" in shown.text


def test_every_plot_says_its_figures_to_who_does_not_see_it(made, html):
    shown = Page(html)
    labels = shown.labels()
    assert len(labels) == 11 and shown.text.count("rubric: length") == 1
    leaderboard = next(label for label in labels if label.startswith("Mean squared error of every candidate"))
    for row in made[0]["candidates"]:
        assert f"{row['name']}: " in leaderboard and page.spread(row["mse"], row["interval"]) in leaderboard


def test_the_page_is_self_contained_well_formed_and_the_same_each_time(made, html):
    shown = Page(html)
    shown.check_self_contained()
    assert html == page.render(*made)


def test_what_is_missing_is_said_in_words(evident):
    card, predictions, _ = evident
    card |= {"ceiling": None, "learning": None, "copies": None, "surrogates": None, "contributions": {}, "importance": [], "weaknesses": []}
    card["metrics"]["test"] |= {"intervals": {}, "gain": None}
    card["intervals"] |= {"reach": None, "out_of_fold_interval": None}
    for padded in card["length_bias"]["padding"].values():
        padded["change"] = [0.1, None, None]
    shown = Page(page.render(card, predictions, {"over": [], "under": []}))
    for said in (
        "not known: no diary has two ratings", "There is no learning curve",
        "nothing to compare, because no training row has a copy",
        "No linear candidate competed", "reads no parts that could be shuffled", "No weakness was found", "one group",
        "over the whole scale", "No diary was scored too high", "the 24 test diaries alone cannot show it",
    ):  # fmt: skip
        assert said in shown.text, said
    assert " nan" not in shown.text and "None" not in shown.text and len(shown.all("svg")) == 8


def test_it_says_whether_a_gold_model_guards_it(evident, html):
    card, predictions, worst = evident
    assert "Spearman's ρ is 0.41 (0.28 to 0.52)" in Page(html).text and "its fall stops a training" in html
    assert "No gold model guards" not in html
    card["gold"] |= {"spearman": [0.1, -0.05, 0.24], "usable": False}
    text = Page(page.render(card, predictions, worst)).text
    assert "No gold model guards this reward model" in text and "0.10 (-0.05 to 0.24)" in text
    assert "its fall stops a training" not in text


def test_a_constant_champion_has_a_page_too(evident):
    card, predictions, worst = evident
    card |= {"champion": "constant", "weights": {}, "learning": None, "importance": []}
    for row in card["candidates"]:
        row["champion"] = row["name"] == "constant"
    flat = predictions.with_columns(predicted=pl.lit(0.3), low=pl.lit(-0.5), high=pl.lit(1.0))
    assert "No candidate was shown to beat a constant" in Page(page.render(card, flat, worst)).text


def test_texts_and_names_are_inert_wherever_they_stand(evident):
    card, predictions, worst = evident
    for row in (*worst["over"], *worst["under"]):
        row |= {"text": EVIL, "id": EVIL}
    card |= {"encoder": EVIL, "model_hash": EVIL, "weaknesses": [EVIL], "weights": {EVIL: 1.0}, "champion": EVIL}
    card["candidates"][0]["name"] = card["importance"][0]["part"] = card["copies"]["verdict"] = EVIL
    card["contributions"]["columns"][0][0] = card["learning"]["sentence"] = EVIL
    shown = Page(page.render(card, predictions.with_columns(text=pl.lit(EVIL), diary_id=pl.lit(EVIL)), worst))
    shown.check_inert()
    assert shown.text.count("<script>alert(1)</script>") > 20


@pytest.mark.parametrize(
    ("test", "recipe", "badge"),
    [
        ([0.2, 0.1, 0.3], [0.1, 0.05, 0.15], "Believable"),
        ([0.2, -0.1, 0.4], [0.1, 0.05, 0.15], "Likely"),
        (None, [0.1, 0.05, 0.15], "Likely"),
        ([0.2, 0.1, 0.3], [0.1, -0.05, 0.15], "Doubtful"),
        ([0.0, -0.1, 0.1], [0.0, -0.05, 0.05], "Not shown"),
        ([-0.2, -0.3, -0.1], [0.1, 0.05, 0.15], "Worse than a constant"),
    ],
)
def test_the_verdict_follows_from_the_intervals_of_the_gains(test, recipe, badge):
    parts = {"test": {"gain": test, "n": 24}, "recipe_cv": {"gain": recipe}}
    assert page.verdict({"champion": "ensemble", "metrics": parts})[0] == badge
    assert page.verdict({"champion": "constant", "metrics": parts})[0] == "Nothing learned"


def test_every_limit_of_the_gate_has_its_words(made):
    guards = made[0]["guards"]
    named = {f"{field}.{name}" for field in ("limits", "familiar") for name in guards[field]}
    assert set(page.LIMITS) == named | {"shortest"}


def test_bins_by_hand():
    rows = pl.DataFrame({"predicted": [*[0.0] * 10, *[1.0] * 10], "rating": [*[-1.0, 0.0] * 5, *[0.5] * 10],
                         "group_id": [*"aabbccddee", *"f" * 10]})  # fmt: skip
    (low, low_rating, half), (high, high_rating, unknown) = page.binned(rows)
    assert (low, low_rating, high, high_rating) == (0.0, -0.5, 1.0, 0.5), "20 rows are two bins"
    assert half == pytest.approx(0, abs=1e-12), "every group has the same mean"
    assert unknown is None, "one group tells no interval"
    assert len(page.binned(rows.with_columns(predicted=pl.lit(0.2)))) == 1, "equal scores share a bin"


def test_predictions_draw_the_mean_of_each_level_and_the_interval_at_a_score():
    rating, predicted = np.array([-1.0, -1.0, 1.0, 0.9]), np.array([-0.4, -0.2, 0.5, 0.3])
    figure = plots.predictions(rating, predicted, predicted - 0.3, predicted + 0.3, drawing.BLUE)
    band, _, means = figure.axes[0].collections
    np.testing.assert_allclose(means.get_offsets(), [[-1, -0.3], [1, 0.4]])
    assert nearest_level(0.9) == 1.0
    corners = {(round(x, 6), round(y, 6)) for x, y in band.get_paths()[0].vertices}
    assert {(-0.7, -0.4), (-0.1, -0.4), (0.2, 0.5), (0.8, 0.5)} <= corners


def test_the_learning_curve_says_what_twice_the_rows_bring():
    curve = {"points": [{"n_rows": 50, "mse": 0.3}, {"n_rows": 100, "mse": 0.2}], "floor": 0.1, "scale": 10.0,
             "exponent": 1.0, "gain": [0.05, 0.02, 0.08]}  # fmt: skip
    _, bar, doubled = plots.learning(curve, 0.4).axes[0].collections
    np.testing.assert_allclose(doubled.get_offsets(), [[200, 0.15]])  # 0.1 + 10 / 100 less 0.05
    np.testing.assert_allclose(bar.get_segments()[0], [[200, 0.12], [200, 0.18]])


def test_simulated_ratings_are_called_so(evident, html):
    card, predictions, worst = evident
    assert "No person judged a diary" not in html
    assert "No person judged a diary" in page.render(card | {"simulated": True}, predictions, worst)

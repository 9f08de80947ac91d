"""The page on automatic ratings: what they are made of, and how far to believe them. Every figure is computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from components.auto_rate.calibration import PRIOR, Method, by_rule
from components.auto_rate.config import Config
from components.auto_rate.quality import LEAST, Interval
from memozy import reports
from memozy.records import RATING_LEVELS, SURROGATES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXAMPLES = 3  # of each sort
LONGEST = 600  # characters of an example
MOST_POINTS = 800  # of a scatter: more would only blacken it and swell the page
BINS = 10
KINDS = {"edit": "edited it", "like": "liked it", "dislike": "disliked it", "regenerate": "had it written anew"}
PARTS = {  # sort of edit -> those it holds
    "no change but of white space and closing signs": (pl.col("similarity") == 1) & (pl.col("added") == 0),
    "additions alone": (pl.col("similarity") == 1) & (pl.col("added") > 0),
    "corrections alone": (pl.col("similarity") < 1) & (pl.col("added") == 0),
    "both": (pl.col("similarity") < 1) & (pl.col("added") > 0),
}


def render(
    config: Config, rows: pl.DataFrame, rated: pl.DataFrame, method: Method, n_rated: Mapping[str, int],
    quality: Mapping[str, Mapping[str, Interval] | None], *, n_diaries: int, n_textless: int, simulated: bool,
) -> str:  # fmt: skip
    """One self-contained HTML page.

    rows: showings with their `surrogate`; rated: those that people rated, with one that was made without them.
    n_rated: kind -> different texts that people rated. quality: which reactions -> figures, of all of them under "all".
    simulated: the raters are the micro-world's, no people.
    """
    edited = rows.filter(pl.col("kind") == "edit")
    return reports.page(
        Path(__file__).with_name("auto_report.html.j2"),
        config=config, method=method, kinds=_kinds(rows, method, n_rated), names=KINDS, quality=quality, least=LEAST,
        figures=_figures(edited, rated, method), parts=_parts(edited), examples=_examples(edited), prior=PRIOR,
        n_showings=len(rows), n_diaries=n_diaries, n_textless=n_textless, simulated=simulated,
        n_texts=rated["text_id"].n_unique(),
    )  # fmt: skip


def _kinds(rows: pl.DataFrame, method: Method, n_rated: Mapping[str, int]) -> list[dict]:
    """One row for each kind of reaction: how often it came, what it counts for, what people say of such drafts."""
    found = []
    for kind in sorted(set(SURROGATES.fields["signal"].choices) & set(rows["kind"]), key=list(KINDS).index):
        part = rows.filter(pl.col("kind") == kind)
        found.append({
            "kind": kind, "n": len(part), "rated": n_rated[kind], "learnt": kind in method.learnt,
            "surrogate": part["surrogate"].mean(), "human": part["human"].mean(),
        })  # fmt: skip
    return found


def _parts(edited: pl.DataFrame) -> list[dict]:
    return [
        {"name": name, "n": len(part), "share": len(part) / len(edited), "corrected": 1 - part["similarity"].mean(),
         "added": part["added"].mean(), "surrogate": part["surrogate"].mean(), "human": part["human"].mean()}
        for name, which in PARTS.items() if len(part := edited.filter(which))
    ]  # fmt: skip


def _examples(edited: pl.DataFrame) -> dict[str, list[dict]]:
    """Edits of each sort, the clearest first, their texts cut to LONGEST characters."""
    texts = [pl.when(pl.col(c).str.len_chars() > LONGEST).then(pl.col(c).str.head(LONGEST) + "…").otherwise(c).alias(c)
             for c in ("draft", "final")]  # fmt: skip
    sorts = {
        "Most was added": edited.filter(pl.col("added") > 0).sort("added", descending=True, maintain_order=True),
        "Least was kept": edited.filter(pl.col("similarity") < 1).sort("similarity", maintain_order=True),
    }
    return {name: part.head(EXAMPLES).with_columns(texts).to_dicts() for name, part in sorts.items() if len(part)}


def _figures(edited: pl.DataFrame, rated: pl.DataFrame, method: Method) -> dict:
    if edited.is_empty() and rated.is_empty():
        return {}
    drawn = {}
    with reports.style():
        if len(rated):
            drawn["calibration"] = calibration(rated["surrogate"].to_numpy(), rated["human"].to_numpy())
        if len(edited):
            columns = (edited[name].to_numpy() for name in ("similarity", "surrogate", "human"))
            drawn["edits"] = worth(*columns, learnt="edit" in method.learnt)
    labels = {"calibration": "Human rating against surrogate", "edits": "What edits are worth, by what they corrected"}
    return {name: reports.svg(figure, name, labels[name]) for name, figure in drawn.items()}


def calibration(surrogate: np.ndarray, human: np.ndarray) -> Figure:
    """Human rating against surrogate, (n,) each in [-1, 1]: a point per showing, and the means of equally large bins."""
    from memozy.reports.drawing import BLUE, CARD, DASHED, INK, MUTED, legend

    axes, figure = _square("surrogate", "human rating")
    axes.plot([-1, 1], [-1, 1], color=MUTED, linewidth=1, linestyle=DASHED, label="no error")
    shown = _some(len(human))
    axes.scatter(surrogate[shown], human[shown], s=13, color=BLUE, alpha=0.5, linewidth=0, label="one showing")
    bins = np.searchsorted(np.quantile(surrogate, np.arange(1, BINS) / BINS), surrogate)
    means = np.array([(surrogate[bins == b].mean(), human[bins == b].mean()) for b in np.unique(bins)])
    axes.scatter(*means.T, s=58, marker="D", color=INK, edgecolor=CARD, linewidth=1, zorder=3, label="mean of a tenth")
    legend(figure, 3)
    return figure


def worth(similarity: np.ndarray, surrogate: np.ndarray, human: np.ndarray, *, learnt: bool) -> Figure:
    """Surrogates, and human ratings where there are, against the share of the draft that was corrected, (n,) each."""
    from memozy.reports.drawing import BLUE, DASHED, MUTED, ORANGE, legend

    axes, figure = _square("share of the draft corrected", "rating")
    axes.set(xlim=(-0.03, 1.03))
    axes.set_xticks((0, 0.25, 0.5, 0.75, 1), ("0", "25 %", "50 %", "75 %", "100 %"))
    grid = np.linspace(0, 1, 1001)
    axes.plot(1 - grid, by_rule(grid), color=MUTED, linewidth=1.2, linestyle=DASHED, label="the plain rule")
    rated = np.flatnonzero(np.isfinite(human.astype(float)))
    rated = rated[_some(len(rated))]
    axes.scatter(1 - similarity[rated], human[rated], s=13, color=ORANGE, alpha=0.4, linewidth=0, label="human rating")
    if learnt:
        shown = _some(len(similarity))
        corrected = 1 - similarity[shown]
        axes.scatter(corrected, surrogate[shown], s=13, color=BLUE, alpha=0.6, linewidth=0, label="surrogate")
    legend(figure, 3)
    return figure


def _square(xlabel: str, ylabel: str) -> tuple:
    from memozy.reports.drawing import LEVEL_NAMES, canvas

    figure, axes = canvas(4.2)
    axes.set(xlim=(-1.08, 1.08), ylim=(-1.08, 1.08), xlabel=xlabel, ylabel=ylabel)
    axes.set_xticks(RATING_LEVELS, LEVEL_NAMES)
    axes.set_yticks(RATING_LEVELS, LEVEL_NAMES)
    return axes, figure


def _some(n: int) -> np.ndarray:
    """At most MOST_POINTS of n rows, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).astype(int)) if n else np.arange(0)

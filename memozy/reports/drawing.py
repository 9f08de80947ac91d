"""What plots of several pages share: a canvas, its key, and the drawings. Drawn under `memozy.reports.style`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memozy.records import RATING_LEVELS
from memozy.reports import LIGHT

INK, MUTED, CARD = LIGHT["ink"], LIGHT["muted"], LIGHT["card"]
BLUE, ORANGE, GREEN = LIGHT["blue"], LIGHT["orange"], LIGHT["green"]
DASHED = (0, (4, 3))
WIDTH = 5.0  # inches; the page scales it to the column


def level_name(level: float) -> str:
    """How a rating level is written: +0.5, 0, -1."""
    return f"{level:+g}" if level else "0"


LEVEL_NAMES = [level_name(level) for level in RATING_LEVELS]


def canvas(height: float, **grid: Any) -> tuple[Figure, Any]:
    """A figure of the pages' width and `height` inches, with its axes as `subplots(**grid)` gives them."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(**grid)


def legend(owner: Figure | Axes, columns: int) -> None:
    """The key above a whole figure, or above one of its panels."""
    where = (
        {"loc": "outside upper left"} if isinstance(owner, Figure) else {"loc": "lower left", "bbox_to_anchor": (0, 1)}
    )
    owner.legend(**where, ncols=columns, borderaxespad=0.2, handlelength=1.4, columnspacing=1.4, labelcolor=INK)


def levels(names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Figure:
    """Grouped bars: diaries per rating level, one colour for each of `counts`, every bar with its number."""
    figure, axes = canvas(2.9)
    width = 0.8 / len(counts)
    for i, ((label, values), colour) in enumerate(zip(counts.items(), (MUTED, BLUE, ORANGE), strict=False)):
        x = np.arange(len(names)) + (i - (len(counts) - 1) / 2) * width
        bars = axes.bar(x, values, width * 0.92, color=colour, label=label)
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=9, color=MUTED, padding=2)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("rating")
    axes.set_ylabel("diaries")
    axes.margins(y=0.12)
    legend(figure, len(counts))
    return figure


def intervals(names: Sequence[str], series: Mapping[str, Sequence], xlabel: str,
              lines: Mapping[str, float] = {}, band: tuple[str, float, float] | None = None) -> Figure:  # fmt: skip
    """Figures with their intervals, one row for each name, top to bottom, and dashed lines to hold them against.

    series: label -> [value, low, high] or None for each name; bounds may be None. Each label has its colour and mark.
    lines: label -> where it stands, drawn in order in orange and grey. band: what is shaded, from where to where.
    """
    several = max(sum(column[i] is not None for column in series.values()) for i in range(len(names))) > 1
    step = 0.24 if several else 0.0
    figure, axes = canvas(1.25 + (0.34 if not several else 0.3 + 0.16 * len(series)) * len(names))
    if band:
        axes.axvspan(*band[1:], color=BLUE, alpha=0.1, linewidth=0, zorder=0, label=band[0])
    for (label, at), colour in zip(lines.items(), (ORANGE, MUTED), strict=False):
        axes.axvline(at, color=colour, linewidth=1.2, linestyle=DASHED, zorder=1, label=label)
    styles = zip((BLUE, ORANGE, GREEN, MUTED), "osDo", strict=True)
    for k, ((label, column), (colour, mark)) in enumerate(zip(series.items(), styles, strict=False)):
        rows = [i for i, each in enumerate(column) if each is not None]
        value, low, high = np.array([column[i] for i in rows], float).reshape(-1, 3).T
        y = np.array(rows) + (k - (len(series) - 1) / 2) * step
        axes.hlines(y, low, high, color=colour, linewidth=4.5 if not several else 3.5, alpha=0.4)
        axes.scatter(value, y, s=42, color=colour, marker=mark, zorder=3, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel(xlabel)
    if len(series) + len(lines) + bool(band) > 1:
        legend(figure, 2)
    return figure


def allocation(counts: Sequence[Sequence[int]], letters: Sequence[str], rounds: Sequence[int]) -> Figure:
    """What each arm (row) got in each round (column), and in all: the number in the cell, the shade its size."""
    table = np.asarray(counts, float).reshape(len(letters), len(rounds))
    figure, axes = canvas(0.95 + 0.4 * len(letters))
    for row, column in np.ndindex(table.shape):
        share = table[row, column] / max(table.max(), 1)
        axes.barh(row, 0.94, left=column - 0.47, height=0.86, color=BLUE, alpha=0.06 + 0.44 * share, linewidth=0)
        axes.text(column, row, f"{table[row, column]:.0f}", ha="center", va="center", color=INK)
    for row, total in enumerate(table.sum(axis=1)):
        axes.text(len(rounds), row, f"{total:.0f}", ha="center", va="center", color=INK, fontweight="bold")
    axes.set_xticks(range(len(rounds) + 1), [*map(str, rounds), "all"])
    axes.set_yticks(range(len(letters)), letters)
    axes.set_xlim(-0.55, len(rounds) + 0.5)
    axes.set_ylim(len(letters) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("round")
    return figure


def looks(rows: Sequence[Mapping]) -> Figure:
    """The planned looks: z of the leader's hardest comparison against its boundary, over the ratings spent."""
    figure, axes = canvas(2.6)
    ratings = [row["ratings"] for row in rows]

    def column(name: str) -> list[float]:
        return [np.nan if row[name] is None else row[name] for row in rows]

    axes.plot(ratings, column("boundary"), color=ORANGE, marker="s", linestyle=(0, (4, 2)), label="boundary to cross")
    axes.plot(ratings, column("z"), color=BLUE, marker="o", label="z of the leader")
    for row in rows:
        if row["z"] is not None and row["leader"] is not None:
            axes.annotate(row["leader"], (row["ratings"], row["z"]), xytext=(0, -14), textcoords="offset points",
                          ha="center", color=BLUE, fontweight="bold")  # fmt: skip
    axes.margins(x=0.06, y=0.2)
    axes.set(xlabel="ratings so far", ylabel="z")
    legend(figure, 2)
    return figure

"""The report's plots: plain numbers in, a matplotlib Figure out. Drawn under `memozy.reports.style`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memozy.reports import LIGHT

INK, MUTED, LINE, CARD = LIGHT["ink"], LIGHT["muted"], LIGHT["line"], LIGHT["card"]
BLUE, ORANGE, GREEN, PINK = LIGHT["blue"], LIGHT["orange"], LIGHT["green"], LIGHT["pink"]
MOST_POINTS = 800  # of a scatter: more would only blacken it and swell the page
_WIDTH = 5.0  # inches; the page scales it to the column


def _figure(height: float, **grid):
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots(**grid)


def _legend(owner: Figure | Axes, columns: int) -> None:
    """The key above a whole figure, or above one of its panels."""
    where = (
        {"loc": "outside upper left"} if isinstance(owner, Figure) else {"loc": "lower left", "bbox_to_anchor": (0, 1)}
    )
    owner.legend(**where, ncols=columns, borderaxespad=0.2, handlelength=1.4, columnspacing=1.4, labelcolor=INK)


def levels(names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Figure:
    """Grouped bars: diaries per rating level, one colour for each of `counts`, every bar with its number."""
    figure, axes = _figure(2.9)
    width = 0.8 / len(counts)
    for i, ((label, values), colour) in enumerate(zip(counts.items(), (MUTED, BLUE, ORANGE), strict=False)):
        x = np.arange(len(names)) + (i - (len(counts) - 1) / 2) * width
        bars = axes.bar(x, values, width * 0.92, color=colour, label=label)
        axes.bar_label(bars, fontsize=9, color=MUTED, padding=2)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("rating")
    axes.set_ylabel("diaries")
    axes.margins(y=0.12)
    _legend(figure, len(counts))
    return figure


def predictions(rating: Sequence[float], predicted: Sequence[float], colour: str) -> Figure:
    """Predicted against given rating in [-1, 1]: a point per diary, the mean per level, the line of no error.

    Points are shifted sideways by a fixed pattern, so that those of one level do not hide each other.
    """
    rating, predicted = np.asarray(rating, float), np.asarray(predicted, float)
    figure, axes = _figure(4.2)
    shown = np.unique(np.linspace(0, len(rating) - 1, min(len(rating), MOST_POINTS)).astype(int)) if len(rating) else []
    shift = (np.arange(len(shown)) * 0.6180339887 % 1 - 0.5) * 0.28
    axes.plot([-1, 1], [-1, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="no error")
    axes.scatter(rating[shown] + shift, predicted[shown], s=13, color=colour, alpha=0.6, linewidth=0, label="one diary")
    at = np.unique(rating)
    means = [predicted[rating == level].mean() for level in at]
    axes.scatter(at, means, s=58, marker="D", color=INK, edgecolor=CARD, linewidth=1, zorder=3, label="mean of a level")
    axes.set(xlim=(-1.22, 1.22), ylim=(-1.1, 1.1), xlabel="rating", ylabel="predicted")
    axes.set_xticks(np.linspace(-1, 1, 5))
    axes.set_yticks(np.linspace(-1, 1, 5))
    _legend(figure, 3)
    return figure


def curves(steps: Sequence[int], series: Mapping[str, Sequence[float]], below: Mapping[str, Sequence[float]]) -> Figure:
    """Lines over PPO updates (NaN leaves a gap); `below`, if any, gets a flat panel of its own with its own scale."""
    figure, panels = _figure(2.5 + 1.1 * bool(below), nrows=1 + bool(below), squeeze=False, sharex=True,
                             height_ratios=[3, 1.1][: 1 + bool(below)])  # fmt: skip
    for axes, lines in zip(panels[:, 0], (series, below), strict=False):
        for (label, values), colour, mark in zip(lines.items(), (BLUE, ORANGE, GREEN), "osD", strict=False):
            axes.plot(steps, values, color=colour, marker=mark if len(steps) <= 60 else "", label=label)
        axes.margins(x=0.02, y=0.1)
        axes.locator_params(axis="y", nbins=5 if lines is series else 2)
        if below or len(lines) > 1:
            _legend(axes, len(lines))
    panels[-1, 0].set_xlabel("PPO update")
    panels[-1, 0].xaxis.get_major_locator().set_params(integer=True)
    return figure


def arms(rows: Sequence[Mapping]) -> Figure:
    """Each arm's estimate and interval, top to bottom, with the reward model's mean score and, if known, the truth.

    rows: dicts with letter, origin, incumbent, chosen, estimate, low, high, score_mean, true_mean; numbers may be None.
    """
    figure, axes = _figure(1.5 + 0.46 * len(rows))
    y = np.arange(len(rows))

    def column(name: str) -> np.ndarray:
        return np.array([np.nan if row[name] is None else row[name] for row in rows], float)

    estimate, low, high = column("estimate"), column("low"), column("high")
    colours = [BLUE if row["chosen"] else MUTED for row in rows]
    axes.hlines(y, low, high, color=colours, linewidth=5, alpha=0.45)
    axes.scatter(estimate, y, s=52, color=colours, zorder=3, label="estimate and interval")
    axes.scatter(
        column("score_mean"),
        y,
        s=44,
        marker="|",
        color=ORANGE,
        zorder=4,
        linewidth=2,
        label="reward model's mean",
    )
    if np.isfinite(truth := column("true_mean")).any():
        axes.scatter(
            truth, y, s=40, marker="D", facecolor=CARD, edgecolor=GREEN, linewidth=1.8, zorder=5, label="truth"
        )
    for at in (row["estimate"] for row in rows if row["incumbent"]):
        if at is not None and np.isfinite(at):
            axes.axvline(at, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1, label="incumbent's estimate")
    axes.set_yticks(y, [f"{row['letter']} · {row['origin'][:20]}" for row in rows])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("mean rating")
    _legend(figure, 2)
    return figure


def allocation(counts: Sequence[Sequence[int]], letters: Sequence[str], rounds: Sequence[int]) -> Figure:
    """What each arm (row) got in each round (column), and in all: the number in the cell, the shade its size."""
    table = np.asarray(counts, float).reshape(len(letters), len(rounds))
    figure, axes = _figure(0.95 + 0.4 * len(letters))
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
    figure, axes = _figure(2.6)
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
    _legend(figure, 2)
    return figure

"""The report's plots: plain numbers in, a matplotlib Figure out. Drawn under `memozy.reports.style`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from memozy.reports.drawing import BLUE, CARD, DASHED, GREEN, INK, MUTED, ORANGE, canvas, legend

MOST_POINTS = 800  # of a scatter: more would only blacken it and swell the page


def predictions(rating: Sequence[float], predicted: Sequence[float], colour: str) -> Figure:
    """Predicted against given rating in [-1, 1]: a point per diary, the mean per level, the line of no error.

    Points are shifted sideways by a fixed pattern, so that those of one level do not hide each other.
    """
    rating, predicted = np.asarray(rating, float), np.asarray(predicted, float)
    figure, axes = canvas(4.2)
    shown = np.unique(np.linspace(0, len(rating) - 1, min(len(rating), MOST_POINTS)).astype(int)) if len(rating) else []
    shift = (np.arange(len(shown)) * 0.6180339887 % 1 - 0.5) * 0.28
    axes.plot([-1, 1], [-1, 1], color=MUTED, linewidth=1, linestyle=DASHED, label="no error")
    axes.scatter(rating[shown] + shift, predicted[shown], s=13, color=colour, alpha=0.6, linewidth=0, label="one diary")
    at = np.unique(rating)
    means = [predicted[rating == level].mean() for level in at]
    axes.scatter(at, means, s=58, marker="D", color=INK, edgecolor=CARD, linewidth=1, zorder=3, label="mean of a level")
    axes.set(xlim=(-1.22, 1.22), ylim=(-1.1, 1.1), xlabel="rating", ylabel="predicted")
    axes.set_xticks(np.linspace(-1, 1, 5))
    axes.set_yticks(np.linspace(-1, 1, 5))
    legend(figure, 3)
    return figure


def curves(steps: Sequence[int], series: Mapping[str, Sequence[float]], below: Mapping[str, Sequence[float]]) -> Figure:
    """Lines over PPO updates (NaN leaves a gap); `below`, if any, gets a flat panel of its own with its own scale."""
    figure, panels = canvas(2.5 + 1.1 * bool(below), nrows=1 + bool(below), squeeze=False, sharex=True,
                             height_ratios=[3, 1.1][: 1 + bool(below)])  # fmt: skip
    for axes, lines in zip(panels[:, 0], (series, below), strict=False):
        for (label, values), colour, mark in zip(lines.items(), (BLUE, ORANGE, GREEN), "osD", strict=False):
            axes.plot(steps, values, color=colour, marker=mark if len(steps) <= 60 else "", label=label)
        axes.margins(x=0.02, y=0.1)
        axes.locator_params(axis="y", nbins=5 if lines is series else 2)
        if below or len(lines) > 1:
            legend(axes, len(lines))
    panels[-1, 0].set_xlabel("PPO update")
    panels[-1, 0].xaxis.get_major_locator().set_params(integer=True)
    return figure


def arms(rows: Sequence[Mapping]) -> Figure:
    """Each arm's estimate and interval, top to bottom, with its mean score and, if known, the truth.

    rows: dicts with letter, origin, incumbent, chosen, estimate, low, high, score_mean, true_mean; numbers may be None.
    """
    figure, axes = canvas(1.5 + 0.46 * len(rows))
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
        label="mean score",
    )
    if np.isfinite(truth := column("true_mean")).any():
        axes.scatter(
            truth, y, s=40, marker="D", facecolor=CARD, edgecolor=GREEN, linewidth=1.8, zorder=5, label="truth"
        )
    for at in (row["estimate"] for row in rows if row["incumbent"]):
        if at is not None and np.isfinite(at):
            axes.axvline(at, color=MUTED, linewidth=1, linestyle=DASHED, zorder=1, label="incumbent's estimate")
    axes.set_yticks(y, [f"{row['letter']} · {row['origin'][:20]}" for row in rows])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("mean rating")
    legend(figure, 2)
    return figure

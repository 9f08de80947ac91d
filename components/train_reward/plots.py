"""The reward model's plots: plain numbers in, a matplotlib Figure out. Drawn under `memozy.reports.style`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from memozy.records import RATING_LEVELS, nearest_level
from memozy.reports.drawing import BLUE, CARD, DASHED, GREEN, INK, LEVEL_NAMES, MUTED, ORANGE, canvas, legend

MOST_POINTS = 800  # of a scatter: more would only blacken it and swell the page


def levels(counts: Mapping[str, Sequence[int]]) -> Figure:
    """Grouped bars: the share of each rating level within each of `counts`, every bar with its number of rows."""
    figure, axes = canvas(2.9)
    width = 0.84 / len(counts)
    for i, ((label, values), colour) in enumerate(zip(counts.items(), (MUTED, BLUE, ORANGE), strict=False)):
        x = np.arange(len(values)) + (i - (len(counts) - 1) / 2) * width
        bars = axes.bar(x, 100 * np.asarray(values) / max(sum(values), 1), width * 0.92, color=colour,
                        label=f"{label} ({sum(values):,})")  # fmt: skip
        axes.bar_label(bars, [str(v) for v in values], fontsize=8.5, color=MUTED, padding=2)
    axes.set_xticks(range(len(RATING_LEVELS)), LEVEL_NAMES)
    axes.tick_params(axis="x", length=0)
    axes.set(xlabel="rating", ylabel="% of the rows")
    axes.margins(y=0.12)
    legend(figure, len(counts))
    return figure


def predictions(rating, predicted, low, high, colour: str) -> Figure:
    """Predicted against given rating, (n,) each in [-1, 1]: a point per diary, the mean per level, and, across, where
    the ratings of diaries with such a score should lie: the mean of their predictive intervals.

    Points are shifted sideways by a fixed pattern, so that those of one level do not hide each other.
    """
    rating, predicted, low, high = (np.asarray(v, float) for v in (rating, predicted, low, high))
    figure, axes = canvas(4.4)
    open_ = np.flatnonzero(high > low)  # what the gate shut has no interval
    bins = [open_[b] for b in bins_of(predicted[open_], 12)]
    ends = open_[np.argsort(predicted[open_], kind="stable")]
    bins = [ends[:1], *bins, ends[-1:]] if bins else []
    at = [predicted[b].mean() for b in bins]
    axes.fill_betweenx(at, [low[b].mean() for b in bins], [high[b].mean() for b in bins], color=colour, alpha=0.13,
                       linewidth=0, label="where ratings should lie")  # fmt: skip
    shown = np.unique(np.linspace(0, len(rating) - 1, min(len(rating), MOST_POINTS)).astype(int))
    shift = (np.arange(len(shown)) * 0.6180339887 % 1 - 0.5) * 0.28
    axes.plot([-1, 1], [-1, 1], color=MUTED, linewidth=1, linestyle=DASHED, label="no error")
    axes.scatter(rating[shown] + shift, predicted[shown], s=13, color=colour, alpha=0.6, linewidth=0, label="one diary")
    level = np.array([nearest_level(r) for r in rating])
    means = [predicted[level == one].mean() for one in np.unique(level)]
    axes.scatter(np.unique(level), means, s=58, marker="D", color=INK, edgecolor=CARD, linewidth=1, zorder=3,
                 label="mean of a level")  # fmt: skip
    axes.set(xlim=(-1.22, 1.22), ylim=(-1.1, 1.1), xlabel="rating", ylabel="predicted")
    axes.set_xticks(RATING_LEVELS, LEVEL_NAMES)
    axes.set_yticks(RATING_LEVELS, LEVEL_NAMES)
    legend(figure, 2)
    return figure


def reliability(parts: Mapping[str, Sequence[tuple]]) -> Figure:
    """Mean rating against mean score of bins: label -> (mean score, mean rating, half the interval or None) each."""
    figure, axes = canvas(4.2)
    axes.plot([-1, 1], [-1, 1], color=MUTED, linewidth=1, linestyle=DASHED, label="perfect")
    for (label, bins), colour, mark in zip(parts.items(), (BLUE, ORANGE), "os", strict=False):
        score, rating, half = np.array(bins, float).T
        axes.vlines(score, rating - half, rating + half, color=colour, linewidth=3, alpha=0.35)
        axes.scatter(score, rating, s=38, color=colour, marker=mark, zorder=3, label=label)
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xlabel="mean score", ylabel="mean rating")
    axes.set_xticks(RATING_LEVELS, LEVEL_NAMES)
    axes.set_yticks(RATING_LEVELS, LEVEL_NAMES)
    legend(figure, 3)
    return figure


def bins_of(score: np.ndarray, k: int) -> list[np.ndarray]:
    """Rows of up to k bins of about equally many, lowest first; equal scores share a bin."""
    if not len(score):
        return []
    bins = np.searchsorted(np.quantile(score, np.arange(1, k) / k), score)
    return [np.flatnonzero(bins == b) for b in np.unique(bins)]


def learning(curve: Mapping, constant: float) -> Figure:
    """The learning curve: measured points, the fitted power law, and what it says at twice the rows.

    curve: points [{n_rows, mse}], floor, scale, exponent, gain [value, low, high]. constant: its squared error.
    """
    rows, mse = (np.array([p[key] for p in curve["points"]], float) for key in ("n_rows", "mse"))
    figure, axes = canvas(3.1)
    size = np.linspace(rows.min(), 2 * rows.max(), 60)
    fitted = curve["floor"] + curve["scale"] * size ** -curve["exponent"]
    seen = size <= rows.max()
    now = curve["floor"] + curve["scale"] * rows.max() ** -curve["exponent"]
    gain, low, high = np.array(curve["gain"], float)
    axes.axhline(constant, color=ORANGE, linewidth=1.2, linestyle=DASHED, label="a constant")
    axes.plot(size[seen], fitted[seen], color=BLUE, linewidth=1.4, label="fitted curve")
    axes.plot(size[~seen], fitted[~seen], color=BLUE, linewidth=1.4, linestyle=(0, (1, 2)))
    axes.scatter(rows, mse, s=36, color=BLUE, zorder=3, label="measured")
    axes.vlines(2 * rows.max(), now - high, now - low, color=GREEN, linewidth=4.5, alpha=0.4)
    axes.scatter(2 * rows.max(), now - gain, s=46, marker="D", color=GREEN, zorder=3, label="twice the ratings")
    axes.set(xlabel="diaries to learn from", ylabel="MSE")
    axes.margins(x=0.06, y=0.12)
    legend(figure, 2)
    return figure


def bars(names: Sequence[str], values: Sequence[float], xlabel: str) -> Figure:
    """Horizontal bars from 0, what raises in blue, what lowers in orange and hatched, each with its value."""
    figure, axes = canvas(0.9 + 0.27 * len(names))
    for colour, hatch, chosen in ((BLUE, None, lambda v: v >= 0), (ORANGE, "////", lambda v: v < 0)):
        rows = [i for i, v in enumerate(values) if chosen(v)]
        drawn = axes.barh(rows, [values[i] for i in rows], 0.72, color=colour, hatch=hatch, edgecolor=CARD, linewidth=0)
        axes.bar_label(drawn, [f"{values[i]:+.3f}" for i in rows], fontsize=9, color=MUTED, padding=3)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.22)
    axes.set_xlabel(xlabel)
    return figure

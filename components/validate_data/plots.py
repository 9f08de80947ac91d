"""What a page on a data set draws: plain numbers in, a matplotlib Figure out. Drawn under `memozy.reports.style`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from memozy.drift import Drift
from memozy.reports.drawing import BLUE, DASHED, INK, MUTED, ORANGE, canvas, intervals, legend

BINS = 40  # of the lengths


def counts(names: Sequence[str], values: Sequence[int]) -> Figure:
    """A bar with its number for each name, left to right."""
    figure, axes = canvas(2.5)
    bars = axes.bar(range(len(names)), values, color=BLUE, width=0.7)
    axes.bar_label(bars, [f"{value:,}" for value in values], padding=2, color=INK)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0, labelcolor=INK)
    axes.margins(y=0.14)
    axes.set(xlabel="rating", ylabel="ratings")
    return figure


def lengths(characters: np.ndarray, low: int, high: int) -> Figure:
    """A histogram of lengths, (n,), with dashed lines at the limits that lie near enough to be seen."""
    figure, axes = canvas(2.5)
    axes.hist(characters, bins=min(BINS, max(1, int(np.ptp(characters)))), color=BLUE)
    for limit in (low, high):
        if characters.min() - 0.25 * np.ptp(characters) <= limit <= characters.max() + 0.25 * np.ptp(characters):
            axes.axvline(limit, color=ORANGE, linewidth=1.2, linestyle=DASHED)
    axes.set(xlabel="characters", ylabel="diaries")
    return figure


def drift(found: Drift) -> Figure:
    """Shares of the last version beside those of what is new, a pair of bars for each class, top to bottom."""
    figure, axes = canvas(0.9 + 0.36 * len(found.classes))
    at = np.arange(len(found.classes))
    axes.barh(at - 0.19, np.multiply(found.old, 100), height=0.34, color=MUTED, label="last version")
    axes.barh(at + 0.19, np.multiply(found.new, 100), height=0.34, color=BLUE, label="new")
    axes.set_yticks(at, found.classes)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(at) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("per cent")
    legend(figure, 2)
    return figure


def biases(names: Sequence[str], bias: Sequence[float], se: Sequence[float]) -> Figure:
    """How each rater leans, with a 95 % interval."""
    rows = [[b, b - 1.96 * s, b + 1.96 * s] for b, s in zip(bias, se, strict=True)]
    return intervals(names, {"bias": rows}, "bias, rating units", {"the panel": 0.0})

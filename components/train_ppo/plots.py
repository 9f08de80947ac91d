"""The curves of a run: plain numbers in, a matplotlib Figure out. Drawn under `memozy.reports.style`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from memozy.reports.drawing import BLUE, DASHED, GREEN, INK, MUTED, ORANGE, canvas, legend

PANEL, ALONE = 1.7, 2.6  # inches, the height of a panel among others, and of one that stands alone


def curves(panels: Mapping[str, Mapping[str, Sequence[float]]], kept: int) -> Figure:
    """Panels one below the other over the updates: what is measured -> label -> values, (U,) each; a line marks `kept`."""
    figure, grid = canvas(
        0.7 + (PANEL * len(panels) if len(panels) > 1 else ALONE), nrows=len(panels), sharex=True, squeeze=False
    )
    for axes, (ylabel, series) in zip(grid[:, 0], panels.items(), strict=True):
        for (label, values), (colour, mark) in zip(
            series.items(), zip((BLUE, ORANGE, GREEN), "os^", strict=True), strict=False
        ):
            few = mark if len(values) <= 60 else None
            axes.plot(range(len(values)), np.asarray(values, float), color=colour, marker=few, label=label)
        axes.axvline(kept, color=MUTED, linewidth=1.2, linestyle=DASHED, zorder=1)
        axes.set_ylabel(ylabel)
        axes.margins(x=0.03, y=0.12)
        if len(series) > 1:
            legend(axes, len(series))
    grid[0, 0].annotate(
        "kept", (kept, 1), xycoords=("data", "axes fraction"), xytext=(4, -12), textcoords="offset points", color=INK
    )
    grid[-1, 0].set_xlabel("update")
    grid[-1, 0].xaxis.get_major_locator().set_params(integer=True)
    return figure


def phases(seconds: Mapping[str, Sequence[float]]) -> Figure:
    """Bars of every update's seconds, its phases one on the other: phase -> (U,)."""
    figure, axes = canvas(0.7 + ALONE)
    below = np.zeros(len(next(iter(seconds.values()))))
    for (phase, values), colour in zip(seconds.items(), (BLUE, GREEN, ORANGE), strict=False):
        axes.bar(range(len(values)), values, bottom=below, color=colour, label=phase)
        below = below + np.asarray(values, float)
    axes.set(xlabel="update", ylabel="seconds")
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend(figure, len(seconds))
    return figure

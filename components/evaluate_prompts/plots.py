"""The adoption record's own plot: plain numbers in, a matplotlib Figure out. Drawn under `memozy.reports.style`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from memozy.reports.drawing import BLUE, ORANGE, canvas

MOST_POINTS = 400  # of a line: more would swell the page and not be seen


def sampling(reward: Sequence[float], regret: Sequence[float]) -> Figure:
    """Cumulative reward and cumulative regret, (n,) each, after every pull: one panel above the other."""
    figure, panels = canvas(3.8, nrows=2, sharex=True)
    shown = np.unique(np.linspace(0, len(reward) - 1, min(len(reward), MOST_POINTS)).astype(int))
    for axes, values, colour, name in zip(panels, (reward, regret), (BLUE, ORANGE), ("reward", "regret"), strict=True):
        axes.plot(shown + 1, np.asarray(values)[shown], color=colour)
        axes.set_ylabel(f"{name}, in all")
        axes.margins(x=0.02, y=0.1)
        axes.locator_params(axis="y", nbins=5)
    panels[-1].set_xlabel("pulls")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    return figure

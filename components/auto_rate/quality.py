"""How well surrogates agree with what people say: figures with intervals over texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 1000
LEAST = 10  # different texts: of fewer nothing is told


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of a (n,) and b (n,), equal values sharing their mean rank; 0 where one doesn't vary."""
    a, b = _ranks(a), _ranks(b)
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, index, n = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(n) - (n - 1) / 2)[index]


def bootstrap(statistic: Callable[[np.ndarray], float], groups: Sequence, seed: int = 0) -> Interval:
    """A percentile interval over resamples of whole groups: showings of one text are not independent.

    statistic: row numbers, drawn with replacement, -> a figure. groups: (n,) labels.
    """
    _, index, size = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order, start = np.argsort(index, kind="stable"), np.cumsum(size) - size
    rng, figures = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(size), len(size))
        n = size[drawn]
        within = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        figures.append(statistic(order[np.repeat(start[drawn], n) + within]))
    return Interval(statistic(np.arange(len(index))), *np.percentile(figures, (2.5, 97.5)).tolist())


def agreement(surrogate: np.ndarray, human: np.ndarray, groups: Sequence, seed: int = 0) -> dict[str, Interval] | None:
    """Spearman's correlation and the mean absolute error of surrogates (n,) against human means (n,), in rating units;
    None where they are of fewer than LEAST groups."""
    if len(set(groups)) < LEAST:
        return None
    error = np.abs(surrogate - human)
    return {
        "spearman": bootstrap(lambda rows: spearman(surrogate[rows], human[rows]), groups, seed),
        "mae": bootstrap(lambda rows: float(error[rows].mean()), groups, seed),
    }

"""From a score to what people will say: the distribution of the rating, its median, a conformal interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memozy.records import RATING_LEVELS

LEVELS = np.array(RATING_LEVELS)
LEAST_SD = 0.05  # of the rating's distribution: below it an interval's width would say more than was measured
_PENALTY = 100.0  # inverse strength of the ridge penalty: hardly any, five numbers are fitted


@dataclass(frozen=True)
class Calibration:
    """P(rating > level | score) = sigmoid(slope * score + offset[level]): proportional odds, McCullagh 1980.

    offsets: one for each level but the highest, falling. reach: an interval's half-width in standard deviations
    of that distribution, by split conformal prediction (Lei et al. 2018) on out-of-fold scores. cap: what a text
    unlike any rated one can earn at most, the median of the out-of-fold scores. residual_sd: the root mean
    squared out-of-fold error.
    """

    slope: float
    offsets: tuple[float, ...]
    reach: float
    coverage: float
    cap: float
    residual_sd: float

    @classmethod
    def fit(cls, scores: np.ndarray, ratings: np.ndarray, coverage: float, repeats: int = 1) -> Calibration:
        """Fitted on out-of-fold `scores` (n,) and their `ratings` (n,); `coverage` of new ratings should lie within.

        repeats: how often each row stands there, with the scores of another cross-validation; it is one row still.
        """
        slope, offsets = _proportional_odds(scores, ratings)
        blank = cls(slope, offsets, 1.0, coverage, float(np.median(scores)), 0.0)
        misses = np.sort(np.abs(ratings - scores) / blank.sd(scores))
        once = len(misses) // repeats
        rank = math.ceil((once + 1) * coverage)  # beyond n no finite interval is known to be wide enough
        reach = float(misses[rank * repeats - 1]) if rank <= once else float("inf")
        return cls(slope, offsets, reach, coverage, blank.cap, float(np.sqrt(np.mean((ratings - scores) ** 2))))

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """P(level), (n, 5), rows sum to 1."""
        above = 1 / (1 + np.exp(-(self.slope * scores[:, None] + np.array(self.offsets))))  # (n, 4)
        edges = np.concatenate([np.ones((len(scores), 1)), above, np.zeros((len(scores), 1))], axis=1)
        return edges[:, :-1] - edges[:, 1:]

    def median(self, scores: np.ndarray) -> np.ndarray:
        """The level at which half of the ratings are reached, (n,): what minimises the absolute error."""
        reached = self.probabilities(scores).cumsum(axis=1) >= 0.5 - 1e-12
        return LEVELS[reached.argmax(axis=1)]

    def sd(self, scores: np.ndarray) -> np.ndarray:
        """Standard deviation of the rating's distribution, (n,), at least LEAST_SD."""
        p = self.probabilities(scores)
        return np.maximum(np.sqrt(np.maximum(p @ LEVELS**2 - (p @ LEVELS) ** 2, 0)), LEAST_SD)

    def interval(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), (n,) each, within [-1, 1]: holds a new rating with probability `coverage`, over texts."""
        half = self.reach * self.sd(scores)
        return np.clip(scores - half, -1, 1), np.clip(scores + half, -1, 1)


def _proportional_odds(scores: np.ndarray, ratings: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """Slope >= 0 and falling offsets, by one logistic regression on each row set against every level.

    The replicated-data form of ordinal regression: Cardoso and Pinto da Costa 2007.
    """
    from sklearn.linear_model import LogisticRegression

    n, thresholds = len(scores), LEVELS[:-1]
    x = np.hstack([np.tile(scores, len(thresholds))[:, None], np.repeat(np.eye(len(thresholds)), n, axis=0)])
    y = (ratings[None, :] > thresholds[:, None]).ravel()
    if y.all() or not y.any():  # everyone says the same
        return 0.0, tuple(50.0 if ratings[0] > t else -50.0 for t in thresholds)
    fitted = LogisticRegression(C=_PENALTY, fit_intercept=False, max_iter=2000).fit(x, y).coef_[0]
    if fitted[0] < 0:  # scores that mislead say nothing
        return _proportional_odds(np.zeros(n), ratings)
    return float(fitted[0]), tuple(np.minimum.accumulate(fitted[1:]).tolist())

"""Ordinal regression on characters and surface: the levels in their order, however far apart.

One logistic regression for every step between neighbouring levels, «is it rated higher than that?» (Frank and Hall
2001); the score is the mean of the distribution they make.
"""

import numpy as np

from components.train_reward.candidates import Training
from memozy.records import RATING_LEVELS
from memozy.reward.members import OrdinalMember

READS = {"surface": 0.25, "grams": 1.0}
MOST_LEVELS = 10  # ratings that are means of several raters take more values; then the scale's own levels do


def fit(training: Training) -> OrdinalMember:
    return fit_levels(training, READS, strength=1.0)


def fit_levels(training: Training, reads: dict[str, float], strength: float) -> OrdinalMember:
    """The regressions on the blocks `reads`; strength: the inverse of the ridge penalty, C."""
    from sklearn.linear_model import LogisticRegression

    x, levels = training.view.matrix(reads), np.unique(training.ratings)
    if not 1 < len(levels) <= MOST_LEVELS:
        levels = np.array(RATING_LEVELS)
    steps = []
    for middle in (levels[:-1] + levels[1:]) / 2:
        above = training.ratings > middle
        if above.all() or not above.any():  # nobody doubts it
            steps.append((np.zeros(x.shape[1]), 50.0 if above.all() else -50.0))
            continue
        model = LogisticRegression(C=strength, solver="liblinear").fit(x, above, training.weights)
        steps.append((model.coef_[0], float(model.intercept_[0])))
    coefficients, offsets = zip(*steps, strict=True)
    return OrdinalMember(reads, levels, np.array(coefficients).T, np.array(offsets))

"""Bradley-Terry reward models: what was preferred to what, fitted on differences of features.

P(chosen preferred to rejected) = sigmoid(u(chosen) - u(rejected)), u(x) = x @ coef  (Bradley and Terry 1952). A
difference keeps nothing of what the texts of a group share (the photo, how demanding its raters were), so no
offset of a group has to be learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.linear_model import LinearRegression


def fit_bradley_terry(differences, weights: np.ndarray | None = None, alpha: float = 3.0) -> np.ndarray:
    """coef (d,) that minimises sum_i weights_i log(1 + exp(-differences_i @ coef)) + alpha/2 |coef|².

    differences: (m, d), dense or sparse, features of the chosen less those of the rejected text. weights: (m,) >= 0,
    1 where None; the difference of two ratings is a good one. No pairs: all 0.
    """
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    m, d = differences.shape
    if m == 0:
        return np.zeros(d)
    # a pair read backwards has the same loss and the other class: half of each, for a regression that needs both classes
    both = (sparse.vstack if sparse.issparse(differences) else np.vstack)([differences, -differences])
    each = np.ones(m) if weights is None else np.asarray(weights, float)
    model = LogisticRegression(C=1 / alpha, fit_intercept=False, max_iter=1000)
    return model.fit(both, np.repeat([1, 0], m), np.tile(each / 2, 2)).coef_[0]


def as_linear(coef: np.ndarray, x, ratings: np.ndarray, weights: np.ndarray | None = None) -> LinearRegression:
    """Utilities x @ coef brought to the rating scale: a regressor that predicts a rating, and that skops can store.

    x: (n, d), dense or sparse, the rows whose ratings (n,) fix scale and offset by least squares; weights: (n,), 1 where
    None. A higher utility never means a lower rating: where these rows say it does, all it predicts is their mean.
    """
    from sklearn.linear_model import LinearRegression

    utility = x @ coef
    mean, level = np.average(utility, weights=weights), np.average(ratings, weights=weights)
    spread = np.average((utility - mean) ** 2, weights=weights)
    slope = max(np.average((utility - mean) * (ratings - level), weights=weights) / spread, 0.0) if spread > 0 else 0.0
    linear = LinearRegression()
    linear.coef_, linear.intercept_, linear.n_features_in_ = slope * coef, float(level - slope * mean), len(coef)
    return linear


def wins(chosen: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """(m,): 1 where the chosen one's utility is the higher, 0 where it is the lower, 1/2 where they tie.

    The mean is the accuracy; `metrics.paired` of two models' wins is the gain of one over the other.
    """
    return 0.5 + 0.5 * np.sign(np.asarray(chosen, float) - np.asarray(rejected, float))


def log_loss(chosen: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """(m,): -log P(chosen preferred) of Bradley-Terry utilities, in nats; log 2 for one that knows nothing."""
    return np.logaddexp(0.0, np.asarray(rejected, float) - np.asarray(chosen, float))

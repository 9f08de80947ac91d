"""Bradley–Terry: learns from which of two texts was preferred, within a photo, and from ranked lists where there are any."""

import numpy as np

from components.train_reward.candidates import Member, Training
from components.train_reward.pairs import as_linear, fit_bradley_terry
from memozy.preferences import pairs_from_ratings

READS = {"surface": 0.25, "grams": 1.0, "embedding": 1.0}


def fit(training: Training) -> Member:
    """Ratings fix the scale: a preference has none."""
    from scipy import sparse

    x = training.view.matrix(READS)
    better, worse = pairs_from_ratings(training.ratings, training.groups, training.config.seed).T
    differences = x[better] - x[worse]
    weights = (training.ratings[better] - training.ratings[worse]) * training.weights[better] * training.weights[worse]
    if training.preferences is not None:
        ranked = training.preferences.chosen.matrix(READS) - training.preferences.rejected.matrix(READS)
        differences = sparse.vstack([differences, ranked], format="csr")
        weights = np.concatenate([weights, np.ones(ranked.shape[0])])
    coefficients = fit_bradley_terry(differences, weights)
    return Member(READS, as_linear(coefficients, x, training.ratings, training.weights))

"""A mean of all members whose weights are learned out of fold: stacked regression with weights >= 0 (Breiman 1996).

They start at the ensemble's and leave them as far as the rows insist: hardly with hundreds of rows, freely with thousands.
"""

import numpy as np

from components.train_reward.candidates.ensemble import MEMBERS as START

MEMBERS = None  # every member candidate that competes
PULL = 10.0  # towards the start: as much as rows whose members differ by sqrt(10) rating points together


def weigh(names: tuple[str, ...], said: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """argmin |ratings - w @ said|^2 + PULL |w - start|^2 over w >= 0, deviations from the mean rating; scaled to sum to 1."""
    from scipy.optimize import nnls

    start = np.array([float(name in START) for name in names])
    start = start / start.sum() if start.any() else np.full(len(names), 1 / len(names))
    mean, pull = ratings.mean(), np.sqrt(PULL)
    weights, _ = nnls(np.vstack([said.T - mean, pull * np.eye(len(names))]), np.concatenate([ratings - mean, pull * start]))
    return weights / weights.sum() if weights.sum() > 0 else start

"""The shares of a round of human ratings."""

import numpy as np


def allocate(
    mean: np.ndarray, n_rated: np.ndarray, ratings: int, *, epsilon: float, least: int, room: np.ndarray
) -> np.ndarray:
    """How many of the next `ratings` each arm gets, [K] whole numbers.

    Shares follow OCBA (Chen, Lin, Yücesan and Chick 2000), a closed form close to Track-and-Stop's weights,
    on gaps shifted by the margin: a rival's share is 1 / (gap + epsilon)^2 and the leader's the root of the
    rivals' sum of squares. The ratings already given count towards the shares, every arm gets at least
    `least` (an equal share, if that is less), and none more than `room`, the rateable diaries it has left.

    mean: estimates, [K] (any value while an arm has no rating: then all get the same share).
    """
    n_rated, room = np.asarray(n_rated), np.asarray(room)
    weight = np.ones(len(n_rated))
    if n_rated.min() > 0:
        leader = int(np.argmax(mean))
        weight = 1 / (mean[leader] - np.asarray(mean) + max(epsilon, 1e-3)) ** 2
        weight[leader] = 0
        weight[leader] = np.sqrt((weight**2).sum())
    target = weight / weight.sum() * (n_rated.sum() + ratings)
    given = np.minimum(min(least, ratings // len(weight)), room)
    behind, left = (target - n_rated - given).tolist(), (room - given).tolist()
    for _ in range(ratings - int(given.sum())):  # one by one to the arm furthest behind its target
        arm = max((k for k, spare in enumerate(left) if spare), key=behind.__getitem__, default=None)
        if arm is None:
            break
        given[arm] += 1
        behind[arm] -= 1
        left[arm] -= 1
    return given

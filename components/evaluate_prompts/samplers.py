"""Which arm next: UCB1 for single pulls, and the shares of a round of human ratings.

Every arm is one prompt. Rewards are scores in [-1, 1]; a State is replayed from the pulls, so a run
that was killed at any pull goes on exactly where it stood.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class State:
    """What a sampler may know. n: pulls per arm, [K] whole numbers >= 0; total: sum of rewards per arm, [K]."""

    n: np.ndarray
    total: np.ndarray

    def after(self, arm: int, reward: float) -> "State":
        """The state after one more pull. Raises ValueError for a reward outside [-1, 1]."""
        if not -1.0 <= reward <= 1.0:
            raise ValueError(f"reward must be in [-1, 1]; got {reward}")
        step = np.arange(len(self.n)) == arm
        return State(self.n + step, self.total + step * reward)


@dataclass(frozen=True)
class UCB1:
    """Auer, Cesa-Bianchi and Fischer (2002): pull the arm with the greatest  mean + c sqrt(2 ln n / n_k).

    The mean is of rewards rescaled from [-1, 1] to [0, 1], for which c = 1 is the published index.
    An arm never pulled comes first; ties go to an arm drawn by `seed` and the number of pulls so far.
    """

    c: float = 1.0
    seed: int = 0

    def index(self, state: State) -> np.ndarray:
        """The upper confidence bound of every arm, [K]; infinite for an arm never pulled."""
        n = np.asarray(state.n, dtype=float)
        pulled = n > 0
        mean = (np.divide(state.total, n, out=np.zeros_like(n), where=pulled) + 1) / 2
        width = self.c * np.sqrt(2 * np.log(max(n.sum(), 1)) / np.maximum(n, 1))
        return np.where(pulled, mean + width, np.inf)

    def select(self, state: State) -> int:
        """The arm to pull next."""
        index = self.index(state)
        best = np.flatnonzero(index == index.max())
        if len(best) == 1:
            return int(best[0])
        return int(np.random.default_rng([self.seed, int(np.sum(state.n))]).choice(best))


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
    for _ in range(ratings - int(given.sum())):  # one by one to the arm furthest behind its target
        behind = np.where(given < room, target - n_rated - given, -np.inf)
        if np.isneginf(behind).all():
            break
        given[np.argmax(behind)] += 1
    return given

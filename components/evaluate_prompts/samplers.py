"""Which arm next: one small interface, `select(state) -> arm`, and the samplers behind it.

Every arm is one prompt and rewards lie in [-1, 1]. A sampler remembers nothing: its choice follows from its seed
and a State, which is replayed from the pulls, so that a run killed at any pull goes on exactly where it stood.

On a few hundred ratings with a spread of 0.5 (`benchmarks/samplers.py`), top-two Thompson and Track-and-Stop find the
best arm in the fewest pulls, with no more regret than KL-UCB and Thompson; UCB1 still pulls almost evenly;
epsilon-greedy has the least regret and is by far the slowest to tell the best arm; uniform does without a sampler.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf, log

import numpy as np

TINY = 1e-12
REDRAWS = 1000  # posterior draws in search of another best arm
PRIOR_VARIANCE = 0.25  # of rewards: ratings in [-1, 1] have a standard deviation of about 0.5


@dataclass(frozen=True)
class State:
    """What a sampler may know of K arms, [K] each. n: pulls; total, squares: sums of rewards and of their squares."""

    n: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, rewards: np.ndarray) -> "State":
        """The state after the pulls in `rewards`, [K, N] with NaN where an arm was not pulled."""
        known = np.nan_to_num(rewards)
        return cls((~np.isnan(rewards)).sum(axis=1), known.sum(axis=1), (known**2).sum(axis=1))

    def after(self, arm: int, reward: float) -> "State":
        """The state after one more pull. Raises ValueError for a reward outside [-1, 1]."""
        if not -1.0 <= reward <= 1.0:
            raise ValueError(f"reward must be in [-1, 1]; got {reward}")
        step = np.arange(len(self.n)) == arm
        return State(self.n + step, self.total + step * reward, self.squares + step * reward**2)

    def awaiting(self, arm: int) -> "State":
        """The state with one more pull of `arm` on its way, which leaves the arm's mean and spread as they are."""
        step = np.arange(len(self.n)) == arm
        grown = 1 + step / np.maximum(self.n, 1)
        return State(self.n + step, self.total * grown, self.squares * grown)

    def only(self, arms: np.ndarray) -> "State":
        """The state of these arms alone; arms: their places, whole numbers."""
        return State(self.n[arms], self.total[arms], self.squares[arms])

    def mean(self) -> np.ndarray:
        """The mean reward of every arm, rescaled to [0, 1], as the published indices have it; [K]."""
        return np.clip((self.total / self.n + 1) / 2, 0, 1)


@dataclass(frozen=True)
class Sampler(ABC):
    """Pulls an arm never pulled, and then the arm of greatest index; ties are drawn.

    What is drawn is drawn by `seed` and the number of pulls so far: the same state gives the same arm.
    """

    seed: int = 0

    def select(self, state: State) -> int:
        """The arm to pull next."""
        if len(state.n) == 1:
            return 0
        rng = np.random.default_rng([self.seed, int(state.n.sum())])
        new = state.n == 0
        return draw_greatest(new if new.any() else self.index(state, rng), rng)

    @abstractmethod
    def index(self, state: State, rng: np.random.Generator) -> np.ndarray:
        """What ranks the arms, [K]. The state holds two arms or more, each pulled at least once."""


def draw_greatest(index: np.ndarray, rng: np.random.Generator) -> int:
    """Where `index` is greatest; drawn among equals."""
    best = np.flatnonzero(index == index.max())
    return int(best[0] if len(best) == 1 else rng.choice(best))


@dataclass(frozen=True)
class Uniform(Sampler):
    """Every arm in turn: the arm pulled least."""

    def index(self, state: State, rng: np.random.Generator) -> np.ndarray:
        return -state.n


@dataclass(frozen=True)
class EpsilonGreedy(Sampler):
    """With probability `epsilon`, in [0, 1], any arm; otherwise the arm of greatest mean."""

    epsilon: float = 0.1

    def index(self, state: State, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(len(state.n)) if rng.random() < self.epsilon else state.mean()


@dataclass(frozen=True)
class UCB1(Sampler):
    """Auer, Cesa-Bianchi and Fischer (2002): the greatest  mean + c sqrt(2 ln n / n_k), for means in [0, 1].

    c = 1 is the published index.
    """

    c: float = 1.0

    def index(self, state: State, rng: np.random.Generator) -> np.ndarray:
        """The upper confidence bound of every arm's mean in [0, 1], [K]."""
        return state.mean() + self.c * np.sqrt(2 * np.log(state.n.sum()) / state.n)


@dataclass(frozen=True)
class KLUCB(Sampler):
    """Garivier and Cappé (2011), algorithm 1: the greatest q in [0, 1] with  n_k kl(mean_k, q) <= ln t + c ln ln t.

    t is the number of the pull to come, and kl the divergence of Bernoulli laws, which covers all rewards in
    [0, 1]. c = 0 is what the authors advise in practice; their regret bound is for c = 3.
    """

    c: float = 0.0

    def index(self, state: State, rng: np.random.Generator) -> np.ndarray:
        """The upper confidence bound of every arm's mean in [0, 1], [K]."""
        t = int(state.n.sum()) + 1  # 3 or more, so that ln ln t > 0
        level = log(t) + self.c * log(log(t))
        return np.array([kl_bound(p, level / n) for p, n in zip(state.mean().tolist(), state.n.tolist(), strict=True)])


def kl(p: float, q: float) -> float:
    """The divergence of Bernoulli(p) from Bernoulli(q), in nats; p in [0, 1], q in (0, 1)."""
    return (p * log(p / q) if p else 0.0) + ((1 - p) * log((1 - p) / (1 - q)) if p < 1 else 0.0)


def kl_bound(p: float, level: float) -> float:
    """The greatest q in [p, 1] with  kl(p, q) <= level; level > 0."""
    from scipy.optimize import brentq

    high = 1 - TINY
    return brentq(lambda q: kl(p, q) - level, p, high) if p < high and kl(p, high) > level else 1.0


@dataclass(frozen=True)
class Thompson(Sampler):
    """Agrawal and Goyal (2012): the greatest of one draw from every arm's posterior, Beta(1 + successes, 1 + failures).

    They toss a coin of bias r for each reward r in [0, 1] and count heads. Here r itself counts, as r successes
    and 1 - r failures: the mean of what the coin gives, without its noise, and a State needs no coin to be replayed.
    """

    def index(self, state: State, rng: np.random.Generator) -> np.ndarray:
        successes = state.mean() * state.n
        return rng.beta(1 + successes, 1 + state.n - successes)


@dataclass(frozen=True)
class TopTwoThompson(Sampler):
    """Russo (2016), beta = 1/2: the best arm of a posterior draw or, every other time, of a draw that has another best.

    The posterior of an arm's mean is normal around its sample mean, with the variance of rewards pooled over the
    arms and one observation at PRIOR_VARIANCE added.
    """

    def index(self, state: State, rng: np.random.Generator) -> np.ndarray:
        """One posterior draw of the means, in [-1, 1] units, [K]."""
        mean, variance = state.total / state.n, pooled_variance(state) / state.n
        first = rng.normal(mean, np.sqrt(variance))
        leader = int(first.argmax())
        if rng.random() < 0.5:
            return first
        others = rng.normal(mean, np.sqrt(variance), size=(REDRAWS, len(mean)))
        differing = np.flatnonzero(others.argmax(axis=1) != leader)
        if len(differing):
            return others[differing[0]]
        # Never in so many draws: the limit of drawing on is the rival cheapest to mistake (Shang et al. 2020).
        cost = (mean[leader] - mean) ** 2 / (variance[leader] + variance)
        cost[leader] = inf
        return -cost


def pooled_variance(state: State) -> float:
    """The variance of rewards about their arms' means, in squared [-1, 1] units; above 0."""
    within = float((state.squares - state.total**2 / state.n).sum())
    return (PRIOR_VARIANCE + max(within, 0)) / (1 + int(state.n.sum()) - len(state.n))


@dataclass(frozen=True)
class TrackAndStop(Sampler):
    """Garivier and Kaufmann (2016), D-tracking: the arm furthest behind its share of the pulls, `best_arm_shares`.

    An arm with fewer than sqrt(t) - K/2 of t pulls goes first, the least pulled of them.
    """

    def index(self, state: State, rng: np.random.Generator) -> np.ndarray:
        t, mean = state.n.sum(), state.total / state.n
        if state.n.min() < np.sqrt(t) - len(state.n) / 2:
            return -state.n
        return t * best_arm_shares(mean, draw_greatest(mean, rng)) - state.n


def best_arm_shares(mean: np.ndarray, leader: int) -> np.ndarray:
    """The shares of pulls that show soonest that `leader` is best, [K], summing to 1.

    mean: [K], K >= 2, greatest at `leader`. Garivier and Kaufmann's (2016) theorem 5 for normal rewards of one
    variance, which cancels: with d_k the gap to the leader, shares  w_k = x_k w_leader  and  x_k = y / (d_k^2 - y),
    y being the root of  sum of x_k^2 = 1  in (0, least d^2). Equal means count as a gap of 1e-9.
    """
    from scipy.optimize import brentq

    gap = np.maximum(np.delete(mean[leader] - mean, leader), 1e-9)
    spread = (gap / gap.min()) ** 2  # 1 for the nearest rival, whose x lies between that of K - 1 equal ones and 1
    root = brentq(lambda y: ((y / (spread - y)) ** 2).sum() - 1, 1 / (1 + np.sqrt(len(gap))) - TINY, 0.5 + TINY)
    shares = np.insert(root / (spread - root), leader, 1.0)
    return shares / shares.sum()


SAMPLERS: dict[str, type[Sampler]] = {
    "ucb1": UCB1,
    "kl_ucb": KLUCB,
    "epsilon_greedy": EpsilonGreedy,
    "thompson": Thompson,
    "top_two": TopTwoThompson,
    "track_and_stop": TrackAndStop,
    "uniform": Uniform,
}

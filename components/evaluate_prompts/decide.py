"""When to stop and what to say: planned looks at which an arm may be adopted with a confidence that holds.

    adopt  the leader, a challenger, is better than the incumbent (by more than 0) and within epsilon of the best
    keep   the incumbent is within epsilon of the best

Either is said only when shown. Of the claims «b is not worse than j by epsilon or more» (against the
incumbent as j: «b is better than it») each is a one-sided test over all looks together at level
delta / (K - 1). A false claim about arm b means that one particular test, against the true best or the
incumbent, rejected wrongly, and at most K - 1 arms can be falsely claimed: so

    P(adopting an arm worse than the best by epsilon or more, or no better than the incumbent,
      or keeping an incumbent worse than the best by epsilon or more)  <=  delta.

The tests spend their level as O'Brien and Fleming's (Lan and DeMets 1983): little at early looks. The
normal theory is approximate for few ratings and for ratings allotted by earlier ones; the simulation in
`benchmarks/adoption_error.py`, a small one of which is among the tests, is what the confidence rests on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from components.evaluate_prompts.estimate import Estimates

NEVER = 8.0  # a boundary in standard errors that says: not at this look
POWER = 0.8  # of the tests, in the estimate of the ratings still needed


@dataclass(frozen=True)
class Plan:
    """Fixed before the first rating. n_looks: planned looks; delta: error chance in (0, 1);

    epsilon: the margin under which a difference does not matter; incumbent: index of the arm in use.
    """

    n_looks: int
    delta: float = 0.05
    epsilon: float = 0.1
    incumbent: int = 0


@dataclass(frozen=True)
class Look:
    """One look: ratings so far over all arms, who led, and z and boundary of its comparison furthest from shown."""

    look: int
    ratings: int
    leader: int
    z: float
    boundary: float


@dataclass(frozen=True)
class Decision:
    """decision: "adopt", "keep" or "undecided"; arm: adopted, kept, or (undecided) the leader.

    low, high: [K] intervals at 1 - delta for each arm by itself, valid at whichever look one stops.
    ratings_needed: how many more the nearest claim would need if the estimates are right (None: decided, or no end).
    """

    decision: str
    arm: int
    low: np.ndarray
    high: np.ndarray
    ratings_needed: int | None
    looks: list[Look]


def decide(history: Sequence[Estimates], plan: Plan) -> Decision:
    """The decision after the looks in `history`, one Estimates of the same arms for each, in order.

    What was shown at one look stays shown. Raises ValueError for no look, more than planned, or a single arm.
    """
    if not 1 <= len(history) <= plan.n_looks:
        raise ValueError(f"between 1 and {plan.n_looks} looks are planned; got {len(history)}")
    n_arms = len(history[0].mean)
    if n_arms < 2:
        raise ValueError("nothing to compare: a decision needs at least 2 arms")
    rivals = ~np.eye(n_arms, dtype=bool)
    alpha = plan.delta / (n_arms - 1)
    margin = np.full((n_arms, n_arms), plan.epsilon)
    margin[:, plan.incumbent] = 0

    information = np.array([1 / (1 / e.n_rated[:, None] + 1 / e.n_rated[None, :]) for e in history])  # [L, K, K]
    boundary = _boundaries(information, plan, alpha)
    z = np.array([_z(e, margin) for e in history])
    shown = (z > boundary).any(axis=0)

    last = history[-1]
    leader = int(np.argmax(last.mean))
    adopt = leader != plan.incumbent and shown[leader, rivals[leader]].all()
    keep = shown[plan.incumbent, rivals[plan.incumbent]].all()
    needed = None
    if not (adopt or keep):
        final = boundaries(tuple(np.arange(1.0, plan.n_looks + 1)), plan.n_looks, alpha)[-1]
        needed = min((_more(last, z[-1, b], b, rivals[b] & ~shown[b], final) for b in {leader, plan.incumbent}),
                     default=np.inf)  # fmt: skip
    low, high = _intervals(history, plan)
    return Decision(
        decision="adopt" if adopt else "keep" if keep else "undecided",
        arm=plan.incumbent if keep and not adopt else leader,
        low=low,
        high=high,
        ratings_needed=int(needed) if needed is not None and np.isfinite(needed) else None,
        looks=[_look(i, e, z[i], boundary[i], rivals) for i, e in enumerate(history)],
    )


@lru_cache(maxsize=100_000)
def boundaries(information: tuple[float, ...], n_looks: int, alpha: float) -> tuple[float, ...]:
    """Upper boundaries of z at the first looks of `n_looks` planned, one-sided level `alpha` in all.

    The level spent by look l is 2 - 2 Phi(z_{alpha/2} / sqrt(l / n_looks)) (Lan and DeMets 1983, of O'Brien-Fleming
    form, by calendar 1989). With t the information, W(t) = z sqrt(t) is Brownian motion under the null; its density
    among paths that have not crossed is carried on by numerical integration (Armitage, McPherson and Rowe 1969).
    information: at each look, not falling, in any unit; a look with nothing new to tell gets the boundary NEVER.
    """
    nodes, weights = _quadrature()
    found, spent, before = [], 0.0, 0.0
    at, mass = np.zeros(1), np.ones(1)  # where uncrossed paths are, and with what probability
    for look, t in enumerate(information, 1):
        share = 2 * ndtr(ndtri(alpha / 2) / np.sqrt(look / n_looks)) - spent if t > before * (1 + 1e-9) else 0.0
        if share < 1e-14:
            found.append(NEVER)
            continue
        step = np.sqrt(t - before)

        def excess(z: float, at=at, mass=mass, t=t, step=step, share=share) -> float:
            return float(mass @ ndtr((at - z * np.sqrt(t)) / step)) - share

        z = brentq(excess, -NEVER, NEVER + 1)
        found.append(float(z))
        low, high = -7 * np.sqrt(t), z * np.sqrt(t)
        x = low + (nodes + 1) / 2 * (high - low)
        density = np.exp(-(((x[:, None] - at) / step) ** 2) / 2) @ mass / step / np.sqrt(2 * np.pi)
        at, mass, before, spent = x, density * weights * (high - low) / 2, t, spent + share
    return tuple(found)


@lru_cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(200)


def _boundaries(information: np.ndarray, plan: Plan, alpha: float) -> np.ndarray:
    """Boundaries for every comparison at every look; information: effective ratings, [L, ...].

    Its growth from look to look is rounded up to eighths: so there are few paths to integrate, and looks count as less
    alike than they are, which is the safe side.
    """
    growth = np.ceil(8 * information[1:] / information[:-1] - 1e-9) / 8
    path = np.cumprod(np.concatenate([np.ones_like(information[:1]), growth]), axis=0)
    flat = path.reshape(len(path), -1).T
    return np.array([boundaries(tuple(p), plan.n_looks, alpha) for p in flat.tolist()]).T.reshape(path.shape)


def _z(estimates: Estimates, margin: np.ndarray) -> np.ndarray:
    """(mean_b - mean_j + margin) / se as the normal quantile of its t tail, [K, K]; the diagonal is 0."""
    difference, se = estimates.differences()
    freedom = np.minimum(estimates.n_rated[:, None], estimates.n_rated[None, :]) - 1
    t = np.nan_to_num((difference + margin) / se)
    tail = np.clip(stdtr(freedom, -np.abs(t)), 1e-300, 0.5)
    return np.sign(t) * -ndtri(tail)


def _intervals(history: Sequence[Estimates], plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Repeated confidence intervals (Jennison and Turnbull 1989) of each arm's mean, cut to [-1, 1]."""
    z = _boundaries(np.array([e.n_rated for e in history], dtype=float), plan, plan.delta / 2)[-1]
    last = history[-1]
    half = -stdtrit(last.n_rated - 1, ndtr(-z)) * last.se
    return np.maximum(last.mean - half, -1), np.minimum(last.mean + half, 1)


def _more(estimates: Estimates, z: np.ndarray, b: int, open_: np.ndarray, final: float) -> float:
    """Further ratings until arm b's open claims hold with chance POWER, at the present z, [K]; inf where z <= 0."""
    if (z[open_] <= 0).any():
        return np.inf
    growth = np.where(open_, ((final + ndtri(POWER)) / np.where(open_, z, 1)) ** 2, 1)
    growth[b] = growth.max()
    return float(np.ceil((np.maximum(growth - 1, 0) * estimates.n_ratings).sum()))


def _look(i: int, estimates: Estimates, z: np.ndarray, boundary: np.ndarray, rivals: np.ndarray) -> Look:
    leader = int(np.argmax(estimates.mean))
    lag = np.where(rivals[leader], boundary[leader] - z[leader], -np.inf)
    j = int(np.argmax(lag))
    return Look(i + 1, int(estimates.n_ratings.sum()), leader, float(z[leader, j]), float(boundary[leader, j]))

"""What each prompt is worth to each segment, shrunk towards what it is worth to everyone.

A segment-prompt cell's own mean m, weighted by 1/propensity, has an error variance V. Values are modelled as

    m_sa = g_s + a_a + d_sa + e_sa,     e_sa ~ N(0, V_sa),   d_sa ~ N(0, tau^2),   g_s, a_a ~ N(0, 1):

some segments like everything better (g), some prompts are better liked by everyone (a), and what is left (d) is the
segment's own taste. It is shrunk by V / (V + tau^2), as in Efron and Morris (1975) and Morris (1983): a cell of few
showings follows the prompt's value to everyone, one of many keeps its own. There are few segments, and then a plug-in
estimate of tau is poor and its intervals are too narrow; so tau is integrated out, under a half-normal prior
(Gelman 2006). Everything is normal given tau, so the posterior is a mixture of normals over a grid of tau.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri

from memozy.records import InputError

MOST_SEGMENTS = 200
FOLDS = 5
PRIOR = 5.0  # so many showings' worth of the cells' common variance goes into each cell's own
GRID = (np.arange(30) + 0.5) / 30  # quantiles of tau's prior, each as likely as any other


@dataclass(frozen=True)
class Log:
    """n showings of K prompts to S segments, in the log's order; numbers are indices into the names.

    segments: names, sorted, None (users of no segment) last; arms: names. segment: [n]; arm: [n], K where the prompt
    shown is none of these; propensity: [n] in (0, 1], raised to the least that counts; raised: [n] where it was;
    value: [n] in [-1, 1]; fold: [n] in 0 … FOLDS - 1, by a hash of the showing.
    """

    segments: tuple[str | None, ...]
    arms: tuple[str, ...]
    segment: np.ndarray
    arm: np.ndarray
    propensity: np.ndarray
    raised: np.ndarray
    value: np.ndarray
    fold: np.ndarray

    def __len__(self) -> int:
        return len(self.value)

    def cells(self) -> np.ndarray:
        """[S, K] showings."""
        shape = len(self.segments), len(self.arms) + 1
        flat = np.bincount(self.segment * shape[1] + self.arm, minlength=shape[0] * shape[1])
        return flat.reshape(shape)[:, :-1]

    def only(self, rows: np.ndarray) -> "Log":
        """The showings of `rows`, [n] mask."""
        names = ("segment", "arm", "propensity", "raised", "value", "fold")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True)
class Values:
    """Of each segment and prompt, all [S, K]. n: showings; mean: their own mean, NaN where there are none.

    value, low, high: posterior mean of the prompt's value and its interval; gain: how much more than the adopted
    prompt's; doubt: the posterior probability that it is not more at all (1 for the adopted prompt).
    """

    n: np.ndarray
    mean: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    gain: np.ndarray
    doubt: np.ndarray


def make_log(outcomes: pl.DataFrame, arms: Sequence[str], min_propensity: float, seed: int, file: object = None) -> Log:
    """The log of `feedback.outcomes`. Raises InputError, about `file`, for more than MOST_SEGMENTS segments."""
    named = outcomes["segment"].drop_nulls().unique().sort().to_list()
    if len(named) > MOST_SEGMENTS:
        raise InputError(f"names {len(named)} segments", file=file, field="segment",
                         remedy=f"A segment is a kind of user, not a user: at most {MOST_SEGMENTS}")  # fmt: skip
    segments = (*named, *([None] if outcomes["segment"].has_nulls() else []))
    at, column = {s: i for i, s in enumerate(segments)}, {a: i for i, a in enumerate(arms)}
    propensity = outcomes["propensity"].to_numpy()
    return Log(
        segments=segments,
        arms=tuple(arms),
        segment=np.array([at[s] for s in outcomes["segment"]]),
        arm=np.array([column.get(a, len(arms)) for a in outcomes["prompt_id"]]),
        propensity=np.maximum(propensity, min_propensity),
        raised=propensity < min_propensity,
        value=outcomes["value"].to_numpy(),
        fold=np.array([_fold(seed, shown) for shown in outcomes["shown_id"]]),
    )


def _fold(seed: int, shown_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}|{shown_id}".encode()).digest()[:8], "big") % FOLDS


def estimate(log: Log, adopted: int, *, spread: float, confidence: float, rows: np.ndarray | None = None) -> Values:
    """The values from the log's `rows` ([n] mask; none: all of it). Raises ValueError where nothing is known of any cell.

    adopted: index of the prompt that everyone gets. spread: scale of tau. confidence: of the intervals, each by
    itself, and on average over cells: one whose segment has an exceptional taste is held less often (Morris 1983).
    """
    mean, variance, n = cell_means(log, np.ones(len(log), bool) if rows is None else rows)
    found = posterior(mean, variance, adopted, spread)
    tail = (1 - confidence) / 2
    doubt = _mixture(found.weight, -found.gain, found.gain_sd, 0.0)
    doubt[:, adopted] = 1
    return Values(
        n=n,
        mean=mean,
        value=np.tensordot(found.weight, found.value, 1),
        low=np.maximum(_quantile(found.weight, found.value, found.value_sd, tail), -1),
        high=np.minimum(_quantile(found.weight, found.value, found.value_sd, 1 - tail), 1),
        gain=np.tensordot(found.weight, found.gain, 1),
        doubt=doubt,
    )


def cell_means(log: Log, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means weighted by 1/propensity, their error variances and numbers of showings, all [S, K]; NaN, inf and 0 where empty.

    V = s^2 / n_eff with n_eff = (sum w)^2 / sum w^2. A few equal values are no proof of a small variance: s^2 is mixed
    with the cells' common one at PRIOR showings' weight (a moderated t, Smyth 2004), and the common one counts one
    reaction more, of size 1, than there was.
    """
    shape = len(log.segments), len(log.arms) + 1
    cell, weight, value = (log.segment * shape[1] + log.arm)[rows], 1 / log.propensity[rows], log.value[rows]

    def total(x: np.ndarray | None) -> np.ndarray:
        return np.bincount(cell, x, minlength=shape[0] * shape[1])

    n, w, w2 = total(None), total(weight), total(weight**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total(weight * value) / w
        squares = total(weight * (value - mean[cell]) ** 2) / w * n
        common = (np.nansum(squares) + 1) / max((n - 1).clip(0).sum(), 1)
        variance = (squares + PRIOR * common) / (n - 1 + PRIOR) * w2 / w**2
    variance[n == 0] = np.inf
    return tuple(x.reshape(shape)[:, :-1] for x in (mean, variance, n))


@dataclass(frozen=True)
class Posterior:
    """weight: [T], of each tau; value, value_sd, gain, gain_sd: [T, S, K] given tau, gain over the adopted prompt."""

    weight: np.ndarray
    value: np.ndarray
    value_sd: np.ndarray
    gain: np.ndarray
    gain_sd: np.ndarray


def posterior(mean: np.ndarray, variance: np.ndarray, adopted: int, spread: float) -> Posterior:
    """The model's posterior given each tau of the grid. mean, variance: [S, K]; an empty cell's variance is inf.

    Raises ValueError when every cell is empty. Of C cells o are known: given tau they are N(0, B + tau^2 I), with B
    what they share (1 with the segment, 1 with the prompt) plus V; one eigendecomposition of B serves every tau.
    """
    n_segments, n_arms = mean.shape
    segment, arm = (i.ravel() for i in np.indices(mean.shape))
    known = np.flatnonzero(np.isfinite(variance.ravel()))
    if not len(known):
        raise ValueError("no showing of any of these prompts")
    shared = (segment[:, None] == segment).astype(float) + (arm[:, None] == arm)
    roots, vectors = np.linalg.eigh(shared[np.ix_(known, known)] + np.diag(variance.ravel()[known]))
    turned = vectors.T @ mean.ravel()[known]
    across, own = shared[:, known] @ vectors, np.eye(len(segment))[:, known] @ vectors
    base = segment * n_arms + adopted  # of each cell: its segment's cell of the adopted prompt

    likelihood, parts = [], []
    for tau2 in (spread * ndtri((1 + GRID) / 2)) ** 2:
        scale = np.maximum(roots, 0) + tau2
        likelihood.append(-0.5 * float((np.log(scale) + turned**2 / scale).sum()))
        a = across + tau2 * own
        d = a - a[base]
        apart = np.where(base == np.arange(len(base)), 0, 2 + 2 * tau2)  # prior variance of a gain
        parts.append((a @ (turned / scale), 2 + tau2 - (a**2 / scale).sum(axis=1),
                      d @ (turned / scale), apart - (d**2 / scale).sum(axis=1)))  # fmt: skip
    weight = np.exp(np.array(likelihood) - max(likelihood))
    value, value_var, gain, gain_var = (np.array(p).reshape(-1, n_segments, n_arms) for p in zip(*parts, strict=True))
    return Posterior(weight / weight.sum(), value, np.sqrt(value_var.clip(1e-12)), gain, np.sqrt(gain_var.clip(1e-12)))


def _mixture(weight: np.ndarray, mean: np.ndarray, sd: np.ndarray, above: np.ndarray | float) -> np.ndarray:
    """P(X >= above) of the mixture over the first axis of the normals N(mean, sd^2)."""
    return np.tensordot(weight, ndtr((mean - above) / sd), 1)


def _quantile(weight: np.ndarray, mean: np.ndarray, sd: np.ndarray, p: float) -> np.ndarray:
    """The p-quantile of such a mixture, by bisection."""
    low, high = (mean - 10 * sd).min(axis=0), (mean + 10 * sd).max(axis=0)
    for _ in range(32):  # to 1e-8 standard deviations
        middle = (low + high) / 2
        over = _mixture(weight, mean, sd, middle) < 1 - p
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return (low + high) / 2

"""How far raters agree, and who of them answers at random."""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

from memozy.raters.ratings import Labels, codes, ratings, table

CERTAIN = 0.999  # a correlation at most, so that Fisher's z of a few equal ratings stays finite
ROUNDING = 1e-10  # of a sum of squares; ratings that scatter by less are all the same


def alpha(value: Sequence[float] | np.ndarray, item: Labels, rater: Labels, level: str = "ordinal") -> float | None:
    """Krippendorff's alpha: 1 where raters agree on every item, 0 where no better than chance; at most 1.

    value: ratings, [n], finite; item, rater: labels, [n]; level: "nominal", "ordinal" or "interval".
    None where no item has two ratings, or all such ratings are equal.
    Raises ValueError for another level, other shapes, a value that is not finite, or an item twice by one rater.
    """
    counts, levels = _counts(value, item, rater, level)
    found = _alpha(counts, levels, np.ones((1, len(counts))), level)
    return float(found[0]) if len(found) else None


def alpha_interval(
    value: Sequence[float] | np.ndarray,
    item: Labels,
    rater: Labels,
    level: str = "ordinal",
    confidence: float = 0.95,
    repetitions: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Low and high end of an interval for alpha, over the items that might have been rated by these raters.

    The bootstrap draws whole items, as ratings of one item belong together (Krippendorff's own draws disagreements
    as if independent). Percentiles alone cover too rarely with few items, so they are taken further out by as much
    as Student's t with items - 1 degrees is wider than the normal (Hesterberg 2015, «expanded percentiles»).
    Raters who agree perfectly give (1, 1), however few the items. Arguments, None and errors as of `alpha`; None also
    for a single item.
    """
    counts, levels = _counts(value, item, rater, level)
    n = len(counts)
    if n < 2 or not len(_alpha(counts, levels, np.ones((1, n)), level)):
        return None
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=repetitions).astype(float)
    tail = ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - confidence) / 2))
    low, high = np.quantile(_alpha(counts, levels, drawn, level), [tail, 1 - tail])
    return float(low), float(high)


def _once(value: Sequence[float] | np.ndarray, item: Labels, rater: Labels) -> tuple[np.ndarray, ...]:
    """Ratings, item codes, rater codes and rater names; raises ValueError for two ratings of an item by one rater."""
    y = ratings(value)
    (_, i), (names, r) = codes(item, len(y)), codes(rater, len(y))
    if len(np.unique(i * len(names) + r)) < len(y):
        raise ValueError("a rater rated an item twice; agreement takes one rating of each")
    return y, i, r, names


def _counts(
    value: Sequence[float] | np.ndarray, item: Labels, rater: Labels, level: str
) -> tuple[np.ndarray, np.ndarray]:
    """How often each item with two ratings or more got each level, [I, L], and the levels, [L]."""
    if level not in ("nominal", "ordinal", "interval"):
        raise ValueError(f"level must be nominal, ordinal or interval; got {level!r}")
    y, i, _, _ = _once(value, item, rater)
    levels, v = np.unique(y, return_inverse=True)
    counts = table(i, v)
    return counts[counts.sum(axis=1) > 1], levels


def _alpha(counts: np.ndarray, levels: np.ndarray, weight: np.ndarray, level: str) -> np.ndarray:
    """Alpha of each row of item weights [B, I], less the rows in which nothing varies.

    Ordinal distance, sum_{g=c..k} n_g - (n_c + n_k) / 2, is the distance of mid-ranks: interval alpha of these.
    """
    size, marginal = counts.sum(axis=1), weight @ counts
    total = marginal.sum(axis=1)
    if level == "nominal":
        within = weight @ ((size**2 - (counts**2).sum(axis=1)) / (size - 1))
        among = total**2 - (marginal**2).sum(axis=1)
    else:
        at = np.cumsum(marginal, axis=1) - marginal / 2 if level == "ordinal" else levels + 0 * marginal
        at = at - ((marginal * at).sum(axis=1) / np.maximum(total, 1))[:, None]
        spread = size * (at**2 @ counts.T) - (at @ counts.T) ** 2
        within = (weight * spread / (size - 1)).sum(axis=1)
        among = total * (marginal * at**2).sum(axis=1)
    varies = (marginal > 0).sum(axis=1) > 1
    return 1 - (total[varies] - 1) * within[varies] / among[varies]


def random_raters(
    value: Sequence[float] | np.ndarray, item: Labels, rater: Labels, error: float = 0.05
) -> tuple[str, ...]:
    """The raters who answer as if they had not read the items, or against the others: names, the first found first.

    A rater is named whose ratings' correlation with the others' mean of the same items is both less than the others'
    among each other, in a one-sided test of Fisher's z at error / R, and not above 0 in a test at `error`. The one
    furthest below the others is named first, and the search goes on without him. So at most a share `error` of panels
    that rate alike has anyone named, and a noisy rater who does read is seldom. Only items with two ratings count: a
    rater with fewer than 4 is not named, nor is anyone of two raters, of whom nothing tells which.
    Arguments and errors as of `alpha`.
    """
    y, i, r, names = _once(value, item, rater)
    found: list[int] = []
    while True:
        left = ~np.isin(r, found)
        at_zero, as_others = _agreement(y[left], i[left], r[left], len(names))
        chance = np.where(at_zero > error, as_others, 1)
        suspect = int(np.argmin(chance))
        if chance[suspect] >= error / len(names):
            return tuple(str(names[k]) for k in found)
        found.append(suspect)


def _agreement(y: np.ndarray, i: np.ndarray, r: np.ndarray, n_raters: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each rater, [R]: the chance of agreeing as well if he did not read, and as badly if he were as the others.

    Both are 1 where nothing can be said. Leaving a rater out changes the others' sums only at the items he rated, so
    all are left out in turn in a time that grows with the sum of squares of the items' ratings.
    """
    at_zero, as_others = np.ones(n_raters), np.ones(n_raters)
    y = y - y.mean()  # which keeps digits
    size, total = np.bincount(i), np.bincount(i, y)
    shared = size[i] > 1
    sums = _sums(y[shared], (total[i] - y)[shared] / (size[i][shared] - 1), r[shared], n_raters)
    z, known = _fisher(sums)
    by_item, first = np.argsort(i, kind="stable"), np.cumsum(size) - size
    for k in np.flatnonzero(known):
        own = np.flatnonzero((r == k) & shared)
        here = size[i[own]]  # ratings of each item that he shares
        step = np.arange(here.sum()) - np.repeat(np.cumsum(here) - here, here)
        at, his = by_item[np.repeat(first[i[own]], here) + step], np.repeat(y[own], here)
        at, his = at[r[at] != k], his[r[at] != k]
        rest, n = total[i[at]] - y[at], size[i[at]]
        more = n > 2  # of two raters nothing is left to compare
        with_him = _sums(y[at], rest / (n - 1), r[at], n_raters)
        without = _sums(y[at][more], (rest - his)[more] / (n - 2)[more], r[at][more], n_raters)
        others = sums - with_him + without
        others[:, k] = 0
        theirs, weight = _fisher(others)
        if weight.any():
            items = (size > 1).sum() - (here == 2).sum()
            less = (theirs @ weight / weight.sum() - z[k]) / np.sqrt(1 / known[k] + 1 / max(items - 3, 1))
            at_zero[k] = ndtr(-z[k] * np.sqrt(known[k]))
            as_others[k] = stdtr(known[k], -less)  # the normal names too many where a rater shares few items
    return at_zero, as_others


def _sums(mine: np.ndarray, theirs: np.ndarray, r: np.ndarray, n_raters: int) -> np.ndarray:
    """Each rater's n, sums, squares and products of ratings and of the others' means of the same items, [6, R]."""
    columns = (np.ones(len(r)), mine, theirs, mine**2, theirs**2, mine * theirs)
    return np.stack([np.bincount(r, column, minlength=n_raters) for column in columns])


def _fisher(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fisher's z of each rater's correlation with the others, 0 where either is constant; 1 / its variance, [R]."""
    n, mine, theirs, squares, their_squares, products = sums
    n = np.maximum(np.round(n), 1)
    own, their = squares - mine**2 / n, their_squares - theirs**2 / n
    varies = (own > ROUNDING * squares) & (their > ROUNDING * their_squares) & (n > 3)
    correlation = (products - mine * theirs / n)[varies] / np.sqrt((own * their)[varies])
    z = np.zeros(len(n))
    z[varies] = np.arctanh(np.clip(correlation, -CERTAIN, CERTAIN))
    return z, np.maximum(n - 3, 0)

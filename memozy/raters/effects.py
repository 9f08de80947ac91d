"""How each rater leans and scatters: a crossed linear mixed model (Searle, Casella and McCulloch 1992).

    rating  =  mean of its group  +  effect of its item  +  bias of its rater  +  noise

with normal, independent item effects, biases and noise. Ratings of a group (an arm) share a fixed mean.

With T^2 = item_sd^2 + noise_sd^2, two ratios decide all: s = item_sd^2 / T^2 in (0, 1) and r = rater_sd / T. Their
restricted likelihood, T^2 being profiled out, is a sum over items and raters, so no [n, n] matrix is ever built. It is
laid out on a grid, drawn in around where it is not negligible, and everything reported is averaged over the grid under
a prior: s uniform, r half-normal with scale 1/2. With two to five raters a single best r is often 0, which would call
every bias 0, and surely so; the average never does, and the covariance holds what is not known of s and r. With many
raters the prior fades.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memozy.raters.ratings import Labels, codes, ratings, table

PRIOR_SCALE = 0.5  # of r: raters rarely lean by more than half of what ratings of one group spread by
LARGEST = 2.0  # r at most; four scales out
CELLS = 12  # along each side of the grid
DRAWS_IN = 3  # the grid is laid out anew so often, each time where the last one found weight
NEGLIGIBLE = 1e-4  # of the heaviest row's weight
LEAST = 1e-200  # a sum of squares at least: what does not vary keeps a logarithm
EM_STEPS = 10  # for the raters' own noise; the figures stand still after that
PRIOR_RATINGS = 5.0  # so many ratings' worth of the common noise go into each rater's own


@dataclass(frozen=True)
class RaterEffects:
    """The model's account of R raters; everything in the ratings' own unit.

    raters: names, sorted as text, and in that order: n: ratings of each, [R]; bias: how far each rates above the
    panel, [R], mean 0; covariance: of bias - true bias, [R, R], both less their panel's mean; noise: standard deviation
    of each rater's ratings around item + bias, [R], as if PRIOR_RATINGS more of the common noise had been seen.
    rater_sd, item_sd, noise_sd: roots of the variance components. Where no item has two ratings, nothing tells items
    from noise: item_sd and noise_sd then halve the variance between them, and biases don't depend on how.
    """

    raters: tuple[str, ...]
    n: np.ndarray
    bias: np.ndarray
    covariance: np.ndarray
    noise: np.ndarray
    rater_sd: float
    item_sd: float
    noise_sd: float


def fit(value: Sequence[float] | np.ndarray, item: Labels, rater: Labels, group: Labels | None = None) -> RaterEffects:
    """Biases, noise and variance components of the raters.

    value: ratings, [n], finite; item, rater, group: labels, [n]; group None: all are of one.
    A bias is compared within items, and across items within groups where raters share none: a rater alone in a group
    says nothing of his bias, which is then 0 with the prior's variance. A single rater has bias and covariance 0; so
    has everyone, and noise, where ratings are equal within each group.
    Raises ValueError for no ratings, other shapes, a value that is not finite, or no group with two ratings.
    """
    return _Model(value, item, rater, group).effects()


def adjusted(
    value: Sequence[float] | np.ndarray, item: Labels, rater: Labels, group: Labels | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The items, sorted, and the mean rating the whole panel would give each, [I]: best linear unbiased predictions.

    Less its raters' biases, and shrunk to the mean of its groups as far as noise makes advisable. How far that is can
    only be told from items with two ratings; without any it is half way, and only the order of the items is learned.
    Arguments and errors as of `fit`.
    """
    model = _Model(value, item, rater, group)
    _, mean, effect = model.predict()
    return model.items, effect + model.by_group @ mean / model.size


class _Model:
    """Ratings summed over items, and what they say of (s, r): a grid of cells with weights, [S, T]."""

    def __init__(self, value: Sequence[float] | np.ndarray, item: Labels, rater: Labels, group: Labels | None) -> None:
        y = ratings(value)
        self.items, self.i = codes(item, len(y))
        raters, r = codes(rater, len(y))
        self.raters, place = np.unique(raters.astype(str), return_inverse=True)  # as text: "10" before "2"
        self.r = place[r]
        groups, self.g = codes(np.zeros(len(y), int) if group is None else group, len(y))
        self.freedom = len(y) - len(groups)
        if self.freedom < 1:
            raise ValueError("no group has two ratings, so nothing tells how far ratings scatter")
        self.center = np.bincount(self.g, y) / np.bincount(self.g)
        self.y = y - self.center[self.g]  # groups' means are fitted all the same; this keeps digits
        self.size = np.bincount(self.i)
        self.by_rater = table(self.i, self.r)  # an item's ratings by each rater, [I, R]
        self.by_group = table(self.i, self.g)  # and in each group, [I, G]
        self.total = np.bincount(self.i, self.y)
        self._lay_out()

    def _lay_out(self) -> None:
        """Items of one size act alike, so their sums come together before the grid is laid out."""
        sums = np.column_stack([self.by_rater, self.by_group, self.total])  # [I, P]
        sizes, kind, count = np.unique(self.size, return_inverse=True, return_counts=True)
        of_size = np.stack([sums[kind == k].T @ sums[kind == k] for k in range(len(sizes))])
        cross = self._cross()
        ends = np.array([[0.0, 1.0], [0.0, LARGEST]])
        for _ in range(DRAWS_IN):
            edges = np.linspace(ends[:, 0], ends[:, 1], CELLS + 1, axis=1)
            s, r = (edges[:, :-1] + edges[:, 1:]) / 2
            self._weigh(s, r**2, cross, of_size, sizes, count)
            for axis in (0, 1):
                share = self.weight.sum(axis=1 - axis)
                kept = np.flatnonzero(share > NEGLIGIBLE * share.max())
                ends[axis] = edges[axis, max(kept[0] - 1, 0)], edges[axis, min(kept[-1] + 2, CELLS)]

    def _cross(self) -> np.ndarray:
        """Products of the columns (raters, groups, the rating itself), summed over ratings, [P, P]."""
        both = table(self.r, self.g)
        of_rater, of_group = np.bincount(self.r, self.y), np.bincount(self.g, self.y)
        return np.block([
            [np.diag(both.sum(axis=1)), both, of_rater[:, None]],
            [both.T, np.diag(both.sum(axis=0)), of_group[:, None]],
            [of_rater, of_group, self.y @ self.y],
        ])  # fmt: skip

    def _weigh(self, s: np.ndarray, t: np.ndarray, cross: np.ndarray, of_size: np.ndarray, sizes: np.ndarray,
               count: np.ndarray) -> None:  # fmt: skip
        """Each cell's weight, and what holds of T^2, biases and groups' means in it; t = r^2.

        var(ratings) = T^2 ((1 - s) I + s ZZ' + t WW'). Items Z have an inverse in closed form for each s, groups are
        eliminated, and one eigenbasis of what is left to the raters W serves every t.
        """
        n_raters, own = len(self.raters), 1 - s[:, None]
        of_item = own + s[:, None] * sizes  # [S, sizes]
        swept = (cross - np.tensordot(s[:, None] / of_item, of_size, 1)) / own[:, None]  # [S, P, P]
        groups = swept[:, n_raters:-1, n_raters:-1]
        solved = np.linalg.solve(groups, swept[:, n_raters:-1])
        left = swept - swept[:, :, n_raters:-1] @ solved
        values, basis = np.linalg.eigh(left[:, :n_raters, :n_raters])
        pull = left[:, -1:, :n_raters] @ basis  # [S, 1, R]
        spread = 1 / (1 / t[:, None] + np.maximum(values, 0)[:, None])  # of a bias, over T^2, [S, T, R]
        squares = np.maximum(left[:, -1, -1:] - (spread * pull**2).sum(axis=2), LEAST)
        log_items = len(self.y) * np.log(own[:, 0]) + np.log(of_item / own) @ count
        log_raters = np.log(t[:, None] / spread).sum(axis=2)
        log_x = np.linalg.slogdet(groups)[1]
        log = -(self.freedom * np.log(squares) + (log_items + log_x)[:, None] + log_raters + t / PRIOR_SCALE**2) / 2
        weight = np.exp(log - log.max())
        self.s, self.t, self.weight = s, t, weight / weight.sum()
        self.t2 = squares / self.freedom
        self.bias = (spread * pull) @ basis.transpose(0, 2, 1)  # [S, T, R]
        known = ((self.weight * self.t2)[:, :, None] * spread).sum(axis=1)  # were s and r known: [S, R]
        self.covariance = ((basis * known[:, None]) @ basis.transpose(0, 2, 1)).sum(axis=0)
        self.group_mean, self.group_slope = solved[:, :, -1], solved[:, :, :n_raters]  # on the biases

    def predict(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means over the grid: biases [R], groups' means [G], item effects [I]."""
        bias = (self.weight[:, :, None] * self.bias).sum(axis=1)  # [S, R], times the weight of s, as all below
        weight = self.weight.sum(axis=1)
        mean = weight[:, None] * self.group_mean - (self.group_slope @ bias[:, :, None])[:, :, 0]  # [S, G]
        excess = np.outer(self.total, weight) - self.by_rater @ bias.T - self.by_group @ mean.T  # [I, S]
        effect = self.s / (1 - self.s + np.outer(self.size, self.s)) * excess
        return bias.sum(axis=0), self.center + mean.sum(axis=0), effect.sum(axis=1)

    def effects(self) -> RaterEffects:
        bias, mean, _ = self.predict()
        off = (self.bias - bias).reshape(-1, len(bias))
        center = np.eye(len(bias)) - 1 / len(bias)
        covariance = self.covariance + (self.weight.reshape(-1, 1) * off).T @ off
        s, t2 = self.s[:, None], self.t2
        return RaterEffects(
            raters=tuple(self.raters.tolist()),
            n=np.bincount(self.r),
            bias=bias,  # they sum to 0 of themselves, as groups' means are free
            covariance=center @ covariance @ center,
            noise=self._noise(self.y + (self.center - mean)[self.g] - bias[self.r]),
            rater_sd=float((self.weight * np.sqrt(self.t * t2)).sum()),
            item_sd=float((self.weight * np.sqrt(s * t2)).sum()),
            noise_sd=float((self.weight * np.sqrt((1 - s) * t2)).sum()),
        )

    def _noise(self, around: np.ndarray) -> np.ndarray:
        """From ratings less group mean and bias, [n], by EM over item effects, with the items' variance held."""
        common = float((self.weight * (1 - self.s)[:, None] * self.t2).sum())
        of_items = float((self.weight * self.s[:, None] * self.t2).sum())
        n = np.bincount(self.r)
        noise = np.full(len(n), common)
        for _ in range(EM_STEPS):
            unknown = 1 / (
                1 / of_items + self.by_rater @ (1 / noise)
            )  # variance of an item's effect, given its ratings
            effect = unknown * np.bincount(self.i, around / noise[self.r])
            squares = (around - effect[self.i]) ** 2 + unknown[self.i]
            noise = (np.bincount(self.r, squares) + PRIOR_RATINGS * common) / (n + PRIOR_RATINGS)
        return np.sqrt(noise)

"""From what a user made of a draft to what people would rate it: by the plain rule, or learnt from human ratings.

Rows are showings, as `showings.reacted` tells them: kind, similarity, added, length, human, text_id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from memozy.edits import KEPT, REWRITTEN
from memozy.feedback import SAID

FEATURES = ("similarity", "added", "length")
PENALTY = 1.0  # of the ridge regression, on standardised features
PRIOR = 10  # ratings that the plain rule's value of a reaction counts for, beside those people gave


@dataclass(frozen=True)
class Curve:
    """What people rate a draft, by its edit: an isotonic function of one direction among the standardised FEATURES.

    mean, sd, weights: (3,). at, worth: (m,) knots, both rising, linear in between and level beyond.
    """

    mean: np.ndarray
    sd: np.ndarray
    weights: np.ndarray
    at: np.ndarray
    worth: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, human: np.ndarray) -> Curve:
        """features (n, 3), human (n,) in [-1, 1]. The direction is that of a ridge regression."""
        mean, sd = features.mean(axis=0), features.std(axis=0)
        sd = np.where(sd > 1e-9, sd, 1.0)
        z = (features - mean) / sd
        weights = np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1]), z.T @ (human - human.mean()))
        return cls(mean, sd, weights, *isotonic(z @ weights, human))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return np.interp((features - self.mean) / self.sd @ self.weights, self.at, self.worth)


@dataclass(frozen=True)
class Method:
    """worth: of each kind of reaction but "edit", in [-1, 1]. curve: of edits; none: the plain rule. learnt: the kinds
    whose worth was learnt from human ratings."""

    worth: Mapping[str, float]
    curve: Curve | None
    learnt: frozenset[str]

    @classmethod
    def fit(cls, rows: pl.DataFrame, learnt: frozenset[str]) -> Method:
        """Learn what the kinds in `learnt` are worth from those of `rows` that people rated; others count by the rule.

        A reaction's worth is the mean human rating of the drafts that met with it, shrunken: its value by the rule
        counts as PRIOR ratings.
        """
        rated = rows.filter(pl.col("human").is_not_null())
        worth, curve = dict(SAID), None
        for kind in learnt:
            of_kind = rated.filter(pl.col("kind") == kind)
            human = of_kind["human"].to_numpy()
            if kind == "edit":
                curve = Curve.fit(of_kind.select(FEATURES).to_numpy(), human)
            else:
                worth[kind] = float((PRIOR * SAID[kind] + human.sum()) / (PRIOR + len(human)))
        return cls(worth, curve, learnt)

    def rate(self, rows: pl.DataFrame) -> np.ndarray:
        """The surrogate of each showing, (n,) in [-1, 1]."""
        found = rows["kind"].replace_strict(self.worth, default=0.0, return_dtype=pl.Float64).to_numpy(writable=True)
        edited = (rows["kind"] == "edit").to_numpy()
        features = rows.filter(edited).select(FEATURES).to_numpy()
        found[edited] = by_rule(features[:, 0]) if self.curve is None else self.curve(features)
        return found


def by_rule(similarity: np.ndarray) -> np.ndarray:
    """`edits.edit_value` of many."""
    return np.where(similarity >= KEPT, 1.0, np.where(similarity < REWRITTEN, -0.5, 0.0))


def counts(rows: pl.DataFrame) -> dict[str, int]:
    """How many different texts people rated of each kind of reaction in `rows`."""
    rated = rows.group_by("kind").agg(pl.col("text_id").filter(pl.col("human").is_not_null()).n_unique())
    return dict(rated.iter_rows())


def out_of_fold(rows: pl.DataFrame, learnt: frozenset[str], folds: int, seed: int) -> np.ndarray:
    """The surrogates of `rows`, all of them rated, (n,): each by a method that was fitted without any row of its text.

    Every fold has its share of the texts of each kind.
    """
    _, first, text = np.unique(rows["text_id"].to_numpy(), return_index=True, return_inverse=True)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(first)), rows["kind"].to_numpy()[first]))
    of_text = np.empty(len(first), int)
    of_text[order] = np.arange(len(first)) % folds
    fold = of_text[text]
    found = np.empty(len(rows))
    for k in range(folds):
        held = fold == k
        found[held] = Method.fit(rows.filter(~held), learnt).rate(rows.filter(held))
    return found


def isotonic(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots (at, worth) of the centred isotonic regression of y (n,) on x (n,) (Oron and Flournoy 2017).

    Pools adjacent violators (Ayer et al. 1955), and puts each pool's mean y at its mean x: in between the line rises
    instead of standing still, so that unlike edits are not all worth the same.
    """
    values, index = np.unique(x, return_inverse=True)
    n = np.bincount(index)
    pools: list[list[float]] = []  # rows, sum of x, sum of y
    for pool in zip(n, n * values, np.bincount(index, weights=y), strict=True):
        pools.append(list(pool))
        while len(pools) > 1 and pools[-2][2] / pools[-2][0] >= pools[-1][2] / pools[-1][0]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    rows, sum_x, sum_y = np.array(pools).T
    return sum_x / rows, sum_y / rows

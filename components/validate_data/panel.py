"""What the people who rated are like, told from a part of their ratings where there are very many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from memozy.records import RATING_LEVELS

if TYPE_CHECKING:
    from memozy.raters import RaterEffects

MOST_RATERS = 200  # those with the most ratings are looked at
MOST_DIARIES = 10_000  # and of what they rated the diaries with the most ratings
DRAWN = 2_000_000  # of the bootstrap, diaries times repetitions
REPETITIONS = 1000  # of it at most


@dataclass(frozen=True)
class Rater:
    """bias: how far he rates above the panel, se: its standard error; noise: the scatter of his ratings around the
    diary's worth; both in the ratings' own unit. None where nothing tells it. n, mean: of all his ratings."""

    name: str
    n: int
    mean: float
    bias: float | None
    se: float | None
    noise: float | None
    at_random: bool


@dataclass(frozen=True)
class Panel:
    """raters: those with the most ratings, of n_raters in all; n_twice: diaries that two of them rated. n_ratings, n_diaries:
    what all that follows was told from.

    alpha: ordinal, with its 95 % interval; None where no diary has two ratings. moved: the mean distance between a
    diary's plain mean and the panel's rating of it; other_level: the share of diaries whose nearest level that changes.
    """

    raters: tuple[Rater, ...]
    n_raters: int
    n_twice: int
    n_ratings: int
    n_diaries: int
    alpha: float | None
    interval: tuple[float, float] | None
    moved: float | None
    other_level: float | None


def look(ratings: pl.DataFrame) -> Panel | None:
    """The panel behind `ratings` {diary_id, rater_id, rating}, broken rows left aside; None where no other is there.

    The same rows in another order give the same panel.
    """
    from memozy import raters

    sound = ratings.select("diary_id", "rater_id", "rating").drop_nulls().filter(pl.col("rating").is_in(RATING_LEVELS))
    if sound.is_empty():
        return None
    everyone = sound.group_by("rater_id").agg(n=pl.len(), mean=pl.col("rating").mean())
    everyone = everyone.sort("n", "rater_id", descending=[True, False])
    shown = everyone.head(MOST_RATERS).with_row_index("rater")
    theirs = sound.join(shown.select("rater", "rater_id"), on="rater_id")
    sizes = theirs.group_by("diary_id").len()
    seen = _part(theirs, sizes)
    value, item, rater = (seen[name].to_numpy() for name in ("rating", "diary", "rater"))
    n_diaries = int(item.max()) + 1
    effects = raters.fit(value, item, rater) if shown.height > 1 and len(value) > 1 else None
    alpha = raters.alpha(value, item, rater)
    at_random = set(raters.random_raters(value, item, rater))
    return Panel(
        raters=tuple(Rater(name, n, mean, *_effects(effects, str(code)), str(code) in at_random)
                     for code, name, n, mean in shown.iter_rows()),
        n_raters=everyone.height, n_twice=int((sizes["len"] > 1).sum()),
        n_ratings=seen.height, n_diaries=n_diaries, alpha=alpha,
        interval=raters.alpha_interval(value, item, rater, repetitions=min(REPETITIONS, DRAWN // n_diaries)),
        **(_adjustment(value, item, rater) if alpha is not None else {"moved": None, "other_level": None}),
    )  # fmt: skip


def _part(ratings: pl.DataFrame, sizes: pl.DataFrame) -> pl.DataFrame:
    """The ratings of the diaries that have most of them: {diary, rater, rating}, numbers all, diaries from 0."""
    most = sizes.top_k(MOST_DIARIES, by=["len", "diary_id"])
    part = ratings.join(most.select("diary_id"), on="diary_id").unique(["diary_id", "rater"]).sort("diary_id", "rater")
    return part.select("rater", "rating", diary=pl.col("diary_id").rle_id())


def _effects(found: RaterEffects | None, code: str) -> tuple[float | None, float | None, float | None]:
    if found is None or code not in found.raters:
        return None, None, None
    at = found.raters.index(code)
    return float(found.bias[at]), float(np.sqrt(found.covariance[at, at])), float(found.noise[at])


def _adjustment(value: np.ndarray, item: np.ndarray, rater: np.ndarray) -> dict[str, float]:
    """What rater-adjusted means would change; items are numbered from 0."""
    from memozy import raters

    _, panel = raters.adjusted(value, item, rater)
    plain = np.bincount(item, value) / np.bincount(item)
    levels = np.array(RATING_LEVELS)
    nearest = [np.abs(means[:, None] - levels).argmin(axis=1) for means in (plain, panel)]
    return {"moved": float(np.abs(panel - plain).mean()), "other_level": float((nearest[0] != nearest[1]).mean())}

"""How far new records differ from old ones, and whether chance alone would do as much.

How far: Jensen-Shannon divergence (Lin 1991) in bits. It is 0 where both have the same shares, 1 where they have nothing
in common, and needs no smoothing where a class is empty. For small shifts it is PSI / (8 ln 2): the 0.1 and 0.25 at
which a population stability index is customarily called slight and major are 0.018 and 0.045 here.
Whether: an exact permutation test, records changing sides at random. It takes records as independent of each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from memozy.records import RATING_LEVELS

REPETITIONS = 999  # of the permutation test, whose least p is thus 0.001
SURE = 0.01  # p at most, to call a difference one
SAMPLE = 5_000  # texts looked at on either side, drawn by a seed
BINS = 10  # of lengths
CHARACTERS = {  # what a text is written in, as regular expressions for one character
    "Hangul syllables": "[가-힣]", "single jamo": r"[\p{Hangul}--[가-힣]]", "Latin letters": r"\p{Latin}",
    "Chinese characters": r"\p{Han}", "digits": r"\p{Nd}", "punctuation": r"\p{P}", "white space": r"\s",
}  # fmt: skip


@dataclass(frozen=True)
class Drift:
    """What differs (`of`), over which classes, their shares before and now, how far (bits, in [0, 1]) and its p-value."""

    of: str
    classes: tuple[str, ...]
    old: tuple[float, ...]
    new: tuple[float, ...]
    divergence: float
    p: float

    def beyond(self, most: float) -> bool:
        """Whether new records differ by more than `most` bits, and not by chance."""
        return self.divergence > most and self.p < SURE


def rating_drift(old: pl.DataFrame, new: pl.DataFrame, least: int = 1, seed: int = 0) -> Drift | None:
    """Drift of ratings {diary_id, rater_id, rating} by level, one of each diary: its raters don't judge independently.

    It is that of the first rater by id, whatever the order of rows; ratings off the levels are left aside. None where the
    old side has no rating, or the new one those of fewer than `least` diaries.
    """
    before, now = (_levels(side) for side in (old, new))
    return class_drift(before, now, seed=seed) if sum(now.values()) >= least else None


def _levels(ratings: pl.DataFrame) -> dict[str, int]:
    rows = ratings.filter(pl.col("rating").is_in(RATING_LEVELS)).sort("diary_id", "rater_id")
    values = rows.unique("diary_id", keep="first", maintain_order=True)["rating"]
    return {f"{level:g}": int((values == level).sum()) for level in RATING_LEVELS}


def class_drift(old: Mapping[str, int], new: Mapping[str, int], of: str = "ratings", seed: int = 0) -> Drift | None:
    """Drift of counts by class, such as ratings by level; None where either side has no record.

    A class that one side lacks counts 0 there. Classes stand in the order of `old`, then of `new`.
    """
    classes = tuple(dict.fromkeys([*old, *new]))
    before, now = (np.array([side.get(name, 0) for name in classes], dtype=np.int64) for side in (old, new))
    if not before.sum() or not now.sum():
        return None
    both = before + now
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(both, now.sum(), REPETITIONS, method="marginals")
    return _drift(of, classes, before / before.sum(), now / now.sum(), (both - drawn) / before.sum(), drawn / now.sum())


def text_drift(old: Sequence[str] | pl.Series, new: Sequence[str] | pl.Series, seed: int = 0) -> list[Drift]:
    """Drift of texts in length, by tenths of what both have, and in the characters they are written in; [] without texts.

    A text's characters belong together, so whole texts change sides in the test. Of more than SAMPLE texts on a
    side as many are drawn.
    """
    before, now = (_sample(pl.Series(side, dtype=pl.String), seed) for side in (old, new))
    if before.is_empty() or now.is_empty():
        return []
    return [_length_drift(before.str.len_chars(), now.str.len_chars(), seed), _character_drift(before, now, seed)]


def _sample(texts: pl.Series, seed: int) -> pl.Series:
    return texts if len(texts) <= SAMPLE else texts.sample(SAMPLE, seed=seed)


def _length_drift(before: pl.Series, now: pl.Series, seed: int) -> Drift:
    lengths = np.concatenate([before.to_numpy(), now.to_numpy()])
    edges = np.unique(np.quantile(lengths, np.arange(1, BINS) / BINS, method="inverted_cdf"))  # each ends a bin
    lows, highs = [int(lengths.min()), *(edges + 1).tolist()], [*edges.tolist(), int(lengths.max())]
    names = [f"{low}–{high}" if low < high else str(low) for low, high in zip(lows, highs, strict=True) if low <= high]
    counts = [np.bincount(np.searchsorted(edges, side.to_numpy()), minlength=len(names)) for side in (before, now)]
    return class_drift(*(dict(zip(names, c.tolist(), strict=True)) for c in counts), of="lengths in characters", seed=seed)  # fmt: skip


def _character_drift(before: pl.Series, now: pl.Series, seed: int) -> Drift:
    """Shares are means over texts, so that a long text weighs as much as a short one."""
    texts, n_old = pl.concat([before, now]), len(before)
    size = texts.str.len_chars().clip(lower_bound=1).to_numpy()
    shares = np.column_stack([texts.str.count_matches(one).to_numpy() / size for one in CHARACTERS.values()])
    shares = np.column_stack([shares, np.maximum(1 - shares.sum(axis=1), 0)])
    total, rng = shares.sum(axis=0), np.random.default_rng(seed)
    drawn = np.stack([shares[rng.permutation(len(texts))[n_old:]].sum(axis=0) for _ in range(REPETITIONS)])
    old, new = shares[:n_old].mean(axis=0), shares[n_old:].mean(axis=0)
    return _drift("characters", (*CHARACTERS, "others"), old, new, (total - drawn) / n_old, drawn / len(now))


def _drift(of: str, classes: tuple[str, ...], old: np.ndarray, new: np.ndarray, old_drawn: np.ndarray,
           new_drawn: np.ndarray) -> Drift:  # fmt: skip
    """old, new: shares, [K]; drawn: shares after records changed sides at random, [REPETITIONS, K]."""
    found = float(_divergence(old, new))
    as_far = int((_divergence(old_drawn, new_drawn) >= found - 1e-12).sum())
    return Drift(of, classes, tuple(old.tolist()), tuple(new.tolist()), found, (1 + as_far) / (1 + REPETITIONS))


def _divergence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of shares along the last axis, bits."""
    middle = (a + b) / 2
    terms = [np.where(x > 0, x * np.log2(np.where(x > 0, x, 1) / np.where(middle > 0, middle, 1)), 0) for x in (a, b)]
    return np.maximum((terms[0] + terms[1]).sum(axis=-1) / 2, 0)

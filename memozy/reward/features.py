"""What can be read off texts: features of each text alone, and how a training set scales and weighs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from memozy.reward.surface import surface_features

SATURATION = 3.0  # scaled features stop counting at this many standard deviations
FEW = 20  # texts; of as many a gram must stand in two to count
SPARSE = {"grams", "stems", "morphemes"}  # blocks of n-grams


class Features:
    """n cleaned texts and what each says by itself; every block is computed when first asked for, and once.

    encoder: which sentence encoder `embedding` comes from (memozy.reward.encoders).
    grades: an LLM judge's grade of each text, (n,), where there is a judge.
    """

    def __init__(self, texts: Sequence[str], encoder: str, grades: np.ndarray | None = None) -> None:
        self.texts, self.encoder, self._grades = list(texts), encoder, grades

    def take(self, rows: np.ndarray) -> Features:
        """The features of some rows, in their order; nothing is computed twice."""
        return _Part(self, np.asarray(rows))

    def followed_by(self, other: Features) -> Features:
        """These and then the other's; nothing is computed twice."""
        return _Both(self, other)

    @cached_property
    def surface(self) -> np.ndarray:
        """(n, len(SURFACE))"""
        return surface_features(self.texts)

    @cached_property
    def korean(self) -> np.ndarray:
        """(n, len(KOREAN))"""
        from memozy.reward.korean import korean_features

        return korean_features(self.texts)

    @cached_property
    def stems(self) -> np.ndarray:
        """(n,) texts: the stems of each one's words, parted by spaces."""
        from memozy.reward.korean import word_stems

        return np.array(word_stems(self.texts), object)

    @cached_property
    def morphemes(self) -> np.ndarray:
        """(n,) texts: the morphemes of each one, endings and particles too, parted by spaces."""
        from memozy.reward.korean import morphemes

        return np.array(morphemes(self.texts), object)

    @cached_property
    def embedding(self) -> np.ndarray:
        """(n, d), unit length"""
        from memozy.reward.encoders import encode

        return encode(self.texts, self.encoder)

    @cached_property
    def grade(self) -> np.ndarray:
        """(n, 1); a text that the judge could not grade counts as the middle, 0."""
        if self._grades is None:
            raise ValueError("a judge's grades are asked for, and there is no judge")
        return np.nan_to_num(np.asarray(self._grades, float), nan=0.0).reshape(-1, 1)


_BLOCKS = frozenset(name for name, block in vars(Features).items() if isinstance(block, cached_property))


class _Part(Features):
    def __init__(self, whole: Features, rows: np.ndarray) -> None:
        super().__init__([whole.texts[i] for i in rows], whole.encoder)
        self._whole, self._rows = whole, rows

    def __getattribute__(self, name: str) -> Any:
        if name in _BLOCKS:
            return getattr(self._whole, name)[self._rows]
        return super().__getattribute__(name)


class _Both(Features):
    def __init__(self, first: Features, then: Features) -> None:
        super().__init__([*first.texts, *then.texts], first.encoder)
        self._both = first, then

    def __getattribute__(self, name: str) -> Any:
        if name in _BLOCKS:
            return np.concatenate([getattr(part, name) for part in self._both])
        return super().__getattribute__(name)


@dataclass(frozen=True)
class Reading:
    """How a training set reads texts, for the blocks that members read.

    grams: block -> fitted TfidfVectorizer, of characters ("grams"), word stems or morphemes. scalers: block -> fitted
    StandardScaler, of the embedding only to centre it.
    """

    grams: dict[str, Any]
    scalers: dict[str, Any]

    @classmethod
    def fit(cls, features: Features, blocks: Sequence[str]) -> Reading:
        """Fitted on `features` for members that read `blocks`."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import StandardScaler

        grams = {}
        if "grams" in blocks:
            least = 2 if len(features.texts) >= FEW else 1  # of few texts hardly any share a gram
            grams["grams"] = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=least, sublinear_tf=True)
            grams["grams"].fit(features.texts)
        for name in sorted({"stems", "morphemes"} & set(blocks)):
            grams[name] = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 3), sublinear_tf=True, lowercase=False)
            grams[name].fit(getattr(features, name))
        scaled = sorted(set(blocks) - SPARSE - {"grade"})
        return cls(
            grams,
            {name: StandardScaler(with_std=name != "embedding").fit(getattr(features, name)) for name in scaled},
        )

    def view(self, features: Features) -> View:
        return View(self, features)


class View:
    """`features` as a `reading` reads them; blocks are made when first asked for, and once."""

    def __init__(self, reading: Reading, features: Features) -> None:
        self.reading, self.features, self._made = reading, features, {}

    def block(self, name: str) -> Any:
        """One block, (n, d): scaled and saturated, dense; "grams" unit-length and sparse."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Any:
        if name in SPARSE:
            return self.reading.grams[name].transform(getattr(self.features, "texts" if name == "grams" else name))
        raw = getattr(self.features, name)
        if name not in self.reading.scalers:
            return raw
        scaled = self.reading.scalers[name].transform(raw)
        return scaled if name == "embedding" else np.clip(scaled, -SATURATION, SATURATION)

    def matrix(self, reads: Mapping[str, float]) -> Any:
        """The blocks of `reads`, each times its weight, side by side: (n, d); sparse (CSR) with n-grams, else dense."""
        from scipy import sparse

        parts = [weight * self.block(name) for name, weight in reads.items()]
        return sparse.hstack(parts, format="csr") if SPARSE & reads.keys() else np.hstack(parts)

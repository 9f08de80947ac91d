"""Texts that are one text to a model: equal after normalisation, or nearly so."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

BLOCK = 4_000_000  # cells of the similarity matrix held at a time


def normalise(text: str) -> str:
    """NFC, case folded, letters and digits only; a text without any keeps its signs.

    normalise("오늘, 좋았다!") == normalise("오늘 좋았다") == "오늘좋았다"
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return re.sub(r"[\W_]+", "", folded) or "".join(folded.split())


def near_pairs(texts: Sequence[str], threshold: float) -> np.ndarray:
    """The pairs i < j whose texts have a cosine of at least `threshold`: an integer array, one pair a row.

    The vectors are counts of character 2- to 4-grams without IDF weights: whether two texts are near
    then hangs on the two alone, and rows that arrive later cannot pull old ones together.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    if len(texts) < 2:
        return np.empty((0, 2), dtype=np.int64)
    grams = HashingVectorizer(analyzer="char", ngram_range=(2, 4), alternate_sign=False, lowercase=False)
    vectors = grams.transform(texts).astype(np.float32)
    turned = vectors.T.tocsr()
    found = []
    step = max(1, BLOCK // len(texts))
    for start in range(0, len(texts), step):
        near = (vectors[start : start + step] @ turned).tocoo()
        keep = (near.data >= threshold - 1e-6) & (near.row + start < near.col)
        found.append(np.column_stack((near.row[keep] + start, near.col[keep])))
    return np.concatenate(found).astype(np.int64)

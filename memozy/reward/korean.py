"""Korean grammar, fluency, word stems and morphemes of a text, by the morphological analyser Kiwi."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

# Kiwi's part-of-speech tags (the Sejong set) that are counted, each as a share of the morphemes.
TAGS = ("NNG", "NNP", "VV", "VA", "MAG", "IC", "JKB", "JKO", "JX", "EP", "EC", "EF", "ETM", "XSV", "SF", "SE", "SL")
VERBAL = ("V", "XSV", "XSA")  # tags of what takes the ending 다
KOREAN = ("log_score_a_morpheme", "log_score_a_letter", "distinct_content_words", "proper_nouns",
          *(f"share_{tag}" for tag in TAGS))  # fmt: skip


@cache
def _kiwi():
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1)


def korean_features(texts: Sequence[str]) -> np.ndarray:
    """(n, len(KOREAN)) floats. The log scores are Kiwi's language model's: word order and grammar raise them."""
    if not texts:
        return np.zeros((0, len(KOREAN)))
    return np.array([_row(tokens, score, text) for (tokens, score), text in zip(_analysed(texts), texts, strict=True)])


def _analysed(texts: Sequence[str]) -> Iterator[tuple]:
    """Of each text its best analysis: the morphemes, and their log score."""
    return (found[0] for found in _kiwi().analyze([t or " " for t in texts])) if texts else iter(())


def _row(tokens, score: float, text: str) -> list[float]:
    tags = [token.tag for token in tokens]
    n = max(len(tags), 1)
    content = {token.form for token in tokens if token.tag[0] in "NVM"}
    return [
        score / n,
        score / max(len(text), 1),
        float(len(content)),
        float(tags.count("NNP")),
        *(tags.count(tag) / n for tag in TAGS),
    ]


def word_stems(texts: Sequence[str]) -> list[str]:
    """Each text's words as dictionaries have them, without particles and endings, parted by spaces.

    word_stems(["바다에 갔다"]) == ["바다 가다"]
    """
    return [
        " ".join(t.form + ("다" if t.tag.startswith(VERBAL) else "") for t in tokens if t.tag[0] in "NVMIXSW")
        for tokens, _ in _analysed(texts)
    ]


def morphemes(texts: Sequence[str]) -> list[str]:
    """Each text's morphemes, each with the first letter of its tag, parted by spaces.

    morphemes(["바다에 갔다"]) == ["바다/N 에/J 가/V 었/E 다/E"]
    """
    return [" ".join(f"{t.form}/{t.tag[0]}" for t in tokens) for tokens, _ in _analysed(texts)]

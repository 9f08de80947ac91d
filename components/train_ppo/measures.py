"""How varied a run's responses are, as pure functions: both numbers fall where a policy collapses onto a few."""

from collections.abc import Sequence
from itertools import pairwise


def distinct(texts: Sequence[str]) -> float:
    """Share of different texts, in (0, 1]."""
    return len(set(texts)) / len(texts)


def distinct_2(texts: Sequence[str]) -> float:
    """Different pairs of neighbouring words over all such pairs, in (0, 1]; 1 where there are none.

    distinct-2 of Li et al. 2016, arXiv:1510.03055, §5, over pairs rather than words.
    """
    pairs = [pair for text in texts for pair in pairwise(text.split())]
    return len(set(pairs)) / len(pairs) if pairs else 1.0

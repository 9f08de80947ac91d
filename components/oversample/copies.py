"""How often a training row counts, so that rare ratings weigh about as much as common ones."""

import numpy as np

from memozy.records import RATING_LEVELS


def levels(ratings: np.ndarray) -> np.ndarray:
    """Each rating's `nearest_level`, as its place in RATING_LEVELS: [n]."""
    return np.abs(ratings[:, None] - np.array(RATING_LEVELS)).argmin(axis=1)


def copies(ratings: np.ndarray, max_copies: int, whole: bool) -> np.ndarray:
    """How often each row counts, in [1, max_copies], so that its level counts as much as the commonest: [n].

    whole: in whole copies, as near to it as they come. 10 rows of one level and 4 of another: 2.5 each of the 4, or
    2 copies, since 8 and 12 are equally near to 10.
    """
    level = levels(ratings)
    count = np.bincount(level, minlength=len(RATING_LEVELS))
    n = np.maximum(count, 1)
    # ceil(most / n - 1/2), in whole numbers: the nearest multiple of n, the smaller where two are as near
    wanted = -((n - 2 * count.max()) // (2 * n)) if whole else count.max() / n
    return np.clip(wanted, 1, max_copies)[level].astype(float)

"""How often a training row counts, so that rare ratings weigh about as much as common ones."""

from collections import Counter
from collections.abc import Sequence

from memozy.records import nearest_level


def copies(ratings: Sequence[float], max_copies: int) -> list[int]:
    """The copies, 1 to `max_copies`, that bring each row's level nearest to the count of the commonest level.

    10 rows of one level and 4 of another: 2 copies each of the 4, since 8 and 12 are equally near to 10.
    """
    levels = [nearest_level(rating) for rating in ratings]
    counts = Counter(levels)
    most = max(counts.values(), default=0)
    # ceil(most / n - 1/2), in whole numbers: the nearest multiple of n, the smaller where two are as near
    wanted = {known: -((n - 2 * most) // (2 * n)) for known, n in counts.items()}
    return [min(max(wanted[known], 1), max_copies) for known in levels]

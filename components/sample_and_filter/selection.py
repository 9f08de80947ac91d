"""Which of a policy's own answers are worth learning from, as pure functions.

Best-of-k data for SFT: RAFT (Dong et al. 2023, arXiv:2304.06767, §3), and pairs of best against worst for DPO.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from memozy.texts import near_pairs, normalise


class Sample(NamedTuple):
    """group: the number of the query it answers. score: in [-1, 1]. finished: it ended by itself. fault: it could not be
    tried, so that it has the least score."""

    group: int
    query: str
    response: str
    score: float
    finished: bool
    fault: bool


def best(samples: Sequence[Sample], keep: int, least_score: float, diversity: float | None) -> list[Sample]:
    """Of each group up to `keep`, best first, of those that are finished, faultless and score `least_score` or more.

    What says again what was kept before, of whichever group, makes way for the next; so does what nearly does, where
    `diversity` is the cosine from which on two are one (of counts of letters, see near_pairs). samples: group by group.
    """
    able = [s for s in samples if s.finished and not s.fault and s.score >= least_score]
    texts = [normalise(s.response) for s in able]
    first: dict[str, int] = {}
    same = [first.setdefault(text, i) for i, text in enumerate(texts)]  # of equal texts the first stands for all
    near: dict[int, set[int]] = {i: {i} for i in first.values()}
    for i, j in [] if diversity is None else near_pairs(texts, diversity).tolist():
        near[i].add(j)
        near[j].add(i)
    kept: list[int] = []
    taken: set[int] = set()
    for rows in _groups(able):
        full = len(kept) + keep
        for i in sorted(rows, key=lambda i: -able[i].score):
            if len(kept) < full and not near[same[i]] & taken:
                kept.append(i)
                taken.add(same[i])
    return [able[i] for i in kept]


def contrasts(samples: Sequence[Sample], margin: float) -> list[tuple[Sample, Sample]]:
    """(best, worst) of each group whose best has no fault and beats its worst by `margin`. samples: group by group.

    What did not end by itself takes no part: to prefer the one that is cut off, or not to, would teach where to end. Nor
    does an empty response, and where one text was tried twice, with other luck, it is no better than itself.
    """
    ended = [s for s in samples if s.finished and s.response]
    found = []
    for rows in _groups(ended):
        ranked = sorted((ended[i] for i in rows), key=lambda s: -s.score)
        first, last = ranked[0], ranked[-1]
        if not first.fault and first.score - last.score >= margin and first.response != last.response:
            found.append((first, last))
    return found


def expected_at_random(samples: Sequence[Sample], kept: Sequence[Sample]) -> float:
    """The mean score that `kept` would have had each been drawn at random among the samples of its group."""
    means = {s.group: [] for s in kept}
    for s in samples:
        if s.group in means:
            means[s.group].append(s.score)
    return sum(sum(means[s.group]) / len(means[s.group]) for s in kept) / len(kept)


def _groups(samples: Sequence[Sample]) -> Iterator[list[int]]:
    for _, rows in groupby(range(len(samples)), key=lambda i: samples[i].group):
        yield list(rows)

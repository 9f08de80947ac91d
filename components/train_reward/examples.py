"""The judge's few-shot examples: two sets that share no group, so that no row is graded in the sight of its own rating.

They are drawn once, from all training rows, for every fold alike: an exception to the rule that a fold is judged by
what was learned outside it. The judge that grades a held-out row may have been shown ratings of other groups that are
held out with it, never one of the row's own group.
"""

import random
from collections.abc import Sequence

import numpy as np

from memozy.records import RATING_LEVELS, InputError, nearest_level
from memozy.reward.judge import Example, Grades, Judge
from memozy.stages import Progress

MOST_FAILURES = 0.2  # share of rated texts without a grade beyond which a judge is of no use
SIGHT = (
    "The examples are drawn once from the training rows: when a fold's rows are graded, the judge may have seen ratings "
    "of other groups held out in that fold, never of the row's own group."
)


def choose(texts: Sequence[str], ratings: Sequence[float], groups: Sequence[str], per_level: int,
           seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:  # fmt: skip
    """Two sets of examples from n rated texts, up to `per_level` for each level, whose groups are disjoint.

    A rating counts for its nearest level. Rare levels are served first, the sets in turn, from groups not yet used
    as long as there are any; a level with too few groups gets fewer examples (`shortfall` says which). None is empty.
    Raises InputError where there are not two groups.
    """
    if len(set(groups)) < 2:
        raise InputError("has one group only: two sets of examples need two", field="group_id",
                         value=next(iter(groups), None), remedy="Rate diaries of more photos")  # fmt: skip
    rng = random.Random(seed)
    levels: dict[float, list[int]] = {level: [] for level in RATING_LEVELS}
    for row in rng.sample(range(len(texts)), len(texts)):
        levels[nearest_level(ratings[row])].append(row)
    sets: tuple[list[int], list[int]] = ([], [])
    for rows in sorted(levels.values(), key=lambda rows: len({groups[r] for r in rows})):
        for _ in range(2 * per_level):
            _serve(sets, rows, groups, per_level)
    for chosen in sets:
        rng.shuffle(chosen)  # the last level shown would weigh most
    a, b = (tuple(Example(texts[r], float(ratings[r]), str(groups[r])) for r in chosen) for chosen in sets)
    return a, b


def _serve(sets: tuple[list[int], list[int]], rows: list[int], groups: Sequence[str], per_level: int) -> None:
    """Move one of a level's rows into the set that has fewer of them, or fewer of all; into the other if it can't be."""
    for ours, theirs in sorted((sets, sets[::-1]), key=lambda s: (len(set(s[0]) & set(rows)), len(s[0]))):
        used, barred = ({groups[r] for r in side} for side in (ours, theirs))
        free = [r for r in rows if r not in ours and groups[r] not in barred]
        if free and len(set(ours) & set(rows)) < per_level:
            ours.append(min(free, key=lambda r: groups[r] in used))
            return


def shortfall(examples: Sequence[Example], per_level: int) -> str:
    """Which levels have fewer than `per_level` examples, in words; empty if none has."""
    shown = [nearest_level(e.rating) for e in examples]
    few = {level: shown.count(level) for level in RATING_LEVELS if shown.count(level) < per_level}
    return ", ".join(f"level {level:g}: {n} of {per_level} examples" for level, n in few.items())


def grade_rows(judge_a: Judge, judge_b: Judge, texts: Sequence[str], groups: Sequence[str],
               progress: Progress | None = None) -> Grades:  # fmt: skip
    """Each of n texts graded by a judge that was shown nothing of its group: B where A was, else A.

    What that costs at most is printed first. Raises InputError where both were, where more than MOST_FAILURES of the
    texts have no grade, or as Judge.grade does.
    """
    seen_a, seen_b = ({e.group_id for e in judge.examples} for judge in (judge_a, judge_b))
    if seen_a & seen_b:
        raise InputError("is shown to both judges, so neither can grade it", field="group_id",
                         value=min(seen_a & seen_b), remedy="Choose examples that share no group")  # fmt: skip
    values, cost, failures = np.full(len(texts), np.nan), 0.0, []
    shares = [(judge_a, [i for i, g in enumerate(groups) if str(g) not in seen_a]),
              (judge_b, [i for i, g in enumerate(groups) if str(g) in seen_a])]  # fmt: skip
    bound = sum(judge.cost_bound([texts[i] for i in rows]) for judge, rows in shares)
    print(f"… train_reward: {judge_a.llm.model} grades {len(texts)} texts for at most ${bound:.2f}", flush=True)
    for judge, rows in shares:
        said = judge.grade([texts[i] for i in rows], progress)
        values[rows], cost = said.values, cost + said.cost_usd
        failures += [(rows[i], answer) for i, answer in said.failures]
        if len(failures) > MOST_FAILURES * len(texts):
            raise InputError(f"no grade could be read for {len(failures)} of {len(texts)} texts; one answer: "
                             f"{failures[0][1][:300]!r}", field="llm.model", value=judge.llm.model,
                             remedy="Choose a model that answers in JSON, or raise llm.max_new_tokens")  # fmt: skip
    return Grades(values, cost, sorted(failures))

"""Whether new feedback is worth a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memozy.drift import Drift
from memozy.records import RATING_LEVELS


def enough(
    n_ratings: int, n_reactions: int, levels: Mapping[float, int], drifts: Sequence[Drift], *, min_new: int, min_per_class: int, most: float
) -> tuple[bool, str]:  # fmt: skip
    """Whether there is enough that is new, and one sentence that says why (not).

    levels: how many of both together there are at each rating level. drifts: what was looked at; `most`: the bits beyond
    which one of them is enough.
    """
    counted, why = _counted(n_ratings, n_reactions, levels, min_new, min_per_class)
    shifted = [drift for drift in drifts if drift.beyond(most)]
    said = [f"{d.of} have drifted by {d.divergence:.2g} bits (p {d.p:.2g}; {most:g} are allowed)" for d in shifted]
    return counted or bool(shifted), "; ".join([why, *(said or ["nothing has drifted"] * bool(drifts))])


def _counted(
    n_ratings: int, n_reactions: int, levels: Mapping[float, int], min_new: int, min_per_class: int
) -> tuple[bool, str]:
    found = f"{n_ratings} new ratings" + f" and {n_reactions} reactions" * bool(n_reactions)
    if n_ratings + n_reactions < min_new:
        return False, f"{found}, {min_new} are needed"
    rarest = min(RATING_LEVELS, key=lambda level: levels.get(level, 0))
    if levels.get(rarest, 0) < min_per_class:
        return False, f"{found}, but {levels.get(rarest, 0)} at {rarest:g}; {min_per_class} of each level are needed"
    return True, f"{found}, {min_new} were needed"

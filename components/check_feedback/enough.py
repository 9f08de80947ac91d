"""Whether new ratings are worth a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from memozy.records import RATING_LEVELS


def new_ratings(rows: list[dict], known: Collection[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """(diary, rater) -> level, of the rows (see `tables.read_ratings`) that are well-formed and not `known`."""
    found = {}
    for row in rows:
        key = str(row.get("diary_id") or "").strip(), str(row["rater_id"]).strip()
        try:
            level = float(row.get("rating"))
        except (TypeError, ValueError):
            continue
        if key[0] and level in RATING_LEVELS and key not in known:
            found[key] = level
    return found


def enough(levels: Collection[float], min_new: int, min_per_class: int) -> tuple[bool, str]:
    """Whether there are enough new ratings in all and at each level, and one sentence that says why (not)."""
    if len(levels) < min_new:
        return False, f"{len(levels)} new ratings, {min_new} are needed"
    counts = Counter(levels)
    rarest = min(RATING_LEVELS, key=lambda level: counts[level])
    if counts[rarest] < min_per_class:
        return False, f"{counts[rarest]} new ratings of {rarest:g}, {min_per_class} of each level are needed"
    return True, f"{len(levels)} new ratings, {min_new} were needed"

"""Train or test, once for each group and for good."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Place:
    """Where a row stands. split is None where the row would join a training group to a test group."""

    group_id: str
    split: str | None


def draw(group_id: str, seed: int, test_share: float) -> str:
    """The split of a new group, by a hash: whatever else is in the data, and on any machine."""
    digest = hashlib.sha256(f"{seed}|{group_id}".encode()).digest()
    return TEST if int.from_bytes(digest[:8], "big") / 2**64 < test_share else TRAIN


def assign(groups: Sequence[int], photos: Sequence[str], old: Sequence[Place | None], seed: int, test_share: float) -> list[Place]:  # fmt: skip
    """A place for every row, whatever their order.

    groups: each row's group number; photos: its photo; old: its place in an earlier split, or None.
    Old rows keep their split. A group takes the split of the old rows in it, and the smallest of their
    group ids; where they stand on both sides, its old rows stay as they were and its new rows get no
    split. A group of new rows is named by its smallest photo and drawn by that.
    """
    before: dict[int, set[Place]] = defaultdict(set)
    names: dict[int, str] = {}
    for group, photo, place in zip(groups, photos, old, strict=True):
        names[group] = min(names.get(group, photo), photo)
        if place is not None:
            before[group].add(place)
    places = []
    for group, place in zip(groups, old, strict=True):
        inherited = before.get(group, set())
        splits = {p.split for p in inherited}
        name = min((p.group_id for p in inherited), default=names[group])
        if len(splits) > 1:
            places.append(place or Place(name, None))
        elif splits:
            places.append(Place(name, *splits))
        else:
            places.append(Place(name, draw(name, seed, test_share)))
    return places

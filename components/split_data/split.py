"""Train or test, once for each group and for good."""

from __future__ import annotations

import hashlib

import polars as pl

TRAIN, TEST = "train", "test"


def draw(group_id: str, seed: int, test_share: float) -> str:
    """The split of a new group, by a hash: whatever else is in the data, and on any machine."""
    digest = hashlib.sha256(f"{seed}|{group_id}".encode()).digest()
    return TEST if int.from_bytes(digest[:8], "big") / 2**64 < test_share else TRAIN


def assign(rows: pl.DataFrame, seed: int, test_share: float) -> pl.DataFrame:
    """A place for every row, in their order: {group_id, split}; split is null where the row would join train to test.

    rows: each one's `group` number, its `photo`, and `old_group` and `old_split`, its place in an earlier split, or nulls.
    Old rows keep their split. A group takes the split of the old rows in it, and the smallest of their
    group ids; where they stand on both sides, its old rows stay as they were and its new rows get no
    split. A group of new rows is named by its smallest photo and drawn by that.
    """
    groups = rows.group_by("group").agg(
        name=pl.coalesce(pl.col("old_group").min(), pl.col("photo").min()),
        first=pl.col("old_split").min(),
        last=pl.col("old_split").max(),
    )
    fresh = pl.col("first").is_null()
    sides = [draw(name, seed, test_share) for name in groups.filter(fresh)["name"]]
    drawn = groups.filter(fresh).select("group", drawn=pl.Series(sides, dtype=pl.String))
    placed = rows.select("group", "old_group", "old_split")
    for of_group in (groups, drawn):
        placed = placed.join(of_group, on="group", how="left", maintain_order="left")
    torn = pl.col("first") != pl.col("last")
    stays = torn & pl.col("old_split").is_not_null()
    return placed.select(
        group_id=pl.when(stays).then("old_group").otherwise("name"),
        split=pl.when(stays).then("old_split").when(~torn | torn.is_null()).then(pl.coalesce("first", "drawn")),
    )

from collections import Counter
from hashlib import sha256
from typing import NamedTuple

import polars as pl

from components.split_data import split
from components.split_data.split import draw


class Place(NamedTuple):
    group_id: str
    split: str | None


def assign(groups, photos, old, seed, test_share):
    """The places of rows with these group numbers and photos; old: the Place each had, or None."""
    frame = pl.DataFrame(
        {
            "group": groups,
            "photo": photos,
            "old_group": [p and p.group_id for p in old],
            "old_split": [p and p.split for p in old],
        },
        schema_overrides={"old_group": pl.String, "old_split": pl.String},
    )
    return [Place(*row) for row in split.assign(frame, seed, test_share).iter_rows()]


def test_a_draw_is_a_hash_of_seed_and_group():
    share = int(sha256(b"7|photo-1").hexdigest()[:16], 16) / 2**64
    assert draw("photo-1", 7, share + 1e-9) == "test"
    assert draw("photo-1", 7, share - 1e-9) == "train"


def test_the_test_share_is_a_share_of_the_groups():
    # 2000 draws at 0.2: mean 400, standard deviation 17.9
    assert abs(Counter(draw(f"c{i}", 0, 0.2) for i in range(2000))["test"] - 400) < 4 * 17.9


def test_a_group_is_named_by_its_smallest_context_and_has_one_split():
    places = assign([0, 0, 1], ["c2", "c1", "c3"], [None] * 3, seed=0, test_share=0.2)
    assert [p.group_id for p in places] == ["c1", "c1", "c3"]
    assert places[0] == places[1] == Place("c1", draw("c1", 0, 0.2))


def test_newcomers_inherit_split_and_name():
    for side in ("train", "test"):
        old = [Place("c5", side), None, None]
        assert assign([0, 0, 1], ["c5", "c1", "c9"], old, 0, 0.2)[:2] == [Place("c5", side)] * 2


def test_old_groups_of_one_side_become_one():
    old = [Place("c5", "test"), Place("c3", "test"), None]
    assert assign([0, 0, 0], ["c5", "c3", "c1"], old, 0, 0.2) == [Place("c3", "test")] * 3


def test_a_newcomer_between_the_sides_has_no_place_and_moves_nobody():
    old = [Place("c5", "train"), Place("c3", "test"), None, None]
    places = assign([0, 0, 0, 1], ["c5", "c3", "c1", "c8"], old, 0, 0.2)
    assert places[:2] == old[:2]
    assert places[2].split is None
    assert places[3].split is not None

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.oversample.copies import copies
from components.oversample.copies import levels as places
from memozy.records import RATING_LEVELS, nearest_level


@pytest.mark.parametrize(
    ("rating", "nearest"), [(-1, -1), (0.24, 0), (0.25, 0), (0.26, 0.5), (-0.25, -0.5), (-0.7, -0.5), (0.76, 1)]
)
def test_a_mean_counts_as_its_nearest_level(rating, nearest):
    assert nearest_level(rating) == nearest


@pytest.mark.parametrize(
    ("rare", "expected"),
    [
        (10, 1),  # as many as the commonest
        (7, 1),  # 7 is nearer to 10 than 14
        (6, 2),  # 12 is nearer than 6
        (4, 2),  # 8 and 12 are as near: the fewer copies
        (3, 3),  # 9
        (2, 4),  # 10 with 5 copies, but 4 are the most
        (1, 4),
    ],
)
def test_rare_levels_come_as_near_to_the_commonest_as_they_can(rare, expected):
    assert counted([0.5] * 10 + [-1.0] * rare) == [1] * 10 + [expected] * rare


def counted(ratings, max_copies=4, whole=True):
    return copies(np.array(ratings, dtype=float), max_copies, whole).tolist()


def test_as_weights_every_level_weighs_as_much_as_the_commonest_if_it_may():
    assert counted([0.5] * 10 + [-1.0] * 4 + [1.0] * 2, whole=False) == [1] * 10 + [2.5] * 4 + [4] * 2
    assert counted([0.5] * 10 + [-1.0] * 4 + [1.0] * 2, 9, whole=False) == [1] * 10 + [2.5] * 4 + [5] * 2


def test_each_level_is_counted_by_itself():
    assert counted([1.0, 1.0, 1.0, 1.0, 0.0, 0.1, -1.0], max_copies=9) == [1, 1, 1, 1, 2, 2, 4]


def test_no_rows_have_no_copies():
    assert counted([]) == []


@given(st.lists(st.floats(-1, 1), min_size=1), st.integers(1, 6))
def test_no_allowed_number_of_copies_comes_nearer(ratings, max_copies):
    found = counted(ratings, max_copies)
    levels = [nearest_level(r) for r in ratings]
    assert [RATING_LEVELS[place] for place in places(np.array(ratings))] == levels
    most = max(levels.count(known) for known in RATING_LEVELS)
    for known, n in zip(levels, found, strict=True):
        count = levels.count(known)
        assert n == min(range(1, max_copies + 1), key=lambda k: (abs(k * count - most), k))

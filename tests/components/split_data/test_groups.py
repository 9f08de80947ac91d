import numpy as np

from components.split_data.groups import connected

NONE = np.empty((0, 2))


def parts(labels):
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def test_rows_that_share_a_value_or_are_a_pair_are_joined_however_indirectly():
    # 0-1 by the first column, 1-2 by the second, 2-3 as a pair; 4 and 5 agree, but in different columns
    first = ["p", "p", "q", "r", "s", "t"]
    second = ["a", "b", "b", "c", "t", "e"]
    assert parts(connected([first, second], np.array([[2, 3]]))) == {
        frozenset({0, 1, 2, 3}), frozenset({4}), frozenset({5}),
    }  # fmt: skip


def test_without_links_every_row_stands_alone():
    assert parts(connected([["a", "b", "c"]], NONE)) == {frozenset({0}), frozenset({1}), frozenset({2})}
    assert parts(connected([["a"]], NONE)) == {frozenset({0})}

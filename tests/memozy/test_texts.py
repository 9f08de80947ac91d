"""Equal, nearly equal and linked: against definitions and by hand."""

import random
import unicodedata
from collections import Counter
from math import sqrt

import numpy as np
import pytest

from memozy import texts
from memozy.texts import clean, connected, near_pairs, normalise


def cosine(a, b):
    """The same measure, straight from its definition."""

    def grams(text):
        return Counter(text[i : i + n] for n in (2, 3, 4) for i in range(len(text) - n + 1))

    a, b = grams(a), grams(b)
    return sum(a[g] * b[g] for g in a) / sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))


def test_clean_composes_and_strips_and_changes_nothing_else():
    assert clean(unicodedata.normalize("NFD", " 바다에  갔다.\n")) == "바다에  갔다."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("오늘, 좋았다!", "오늘 좋았다"),
        (unicodedata.normalize("NFD", "바다에 갔다"), "바다에\n갔다."),
        ("Café LATTE", "cafe\u0301 latte"),
        ("!! ?", "!!?"),
    ],
)
def test_signs_case_spaces_and_unicode_forms_do_not_matter(one, other):
    assert normalise(one) == normalise(other)


def test_different_words_and_different_signs_do():
    assert normalise("오늘 좋았다") == "오늘좋았다"
    assert normalise("오늘 좋았다") != normalise("오늘 싫었다")
    assert normalise("🙂") != normalise("🙁")


TEXTS = ["오늘은바다에갔다", "오늘은바다에갔다가왔다", "오늘은산에갔다", "산에갔다", "친구와커피를마셨다", "가"]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("cells", [1, 12, 10_000])
def test_pairs_are_those_whose_cosine_reaches_the_threshold(threshold, cells, monkeypatch):
    monkeypatch.setattr(texts, "CELLS", cells)
    long = [text for text in TEXTS if len(text) > 1]
    expected = {(i, j) for j in range(len(long)) for i in range(j) if cosine(long[i], long[j]) >= threshold}
    assert set(map(tuple, near_pairs(TEXTS, threshold).tolist())) == expected


def test_no_pair_is_missed_among_many_texts_of_the_same_few_words():
    rng = random.Random(0)
    words = ["바다에", "산에", "친구와", "혼자", "갔다", "먹었다", "좋았다", "!", "커피를", "커피를", "커피를"]
    many = list(dict.fromkeys("".join(rng.choices(words, k=rng.randint(6, 40))) for _ in range(150)))
    many += [f"{t[:9]}갸{t[10:]}" for t in many[:100]]
    cosines = {(i, j): cosine(many[i], many[j]) for j in range(len(many)) for i in range(j)}
    for threshold in (0.5, 0.85, 0.95):
        expected = {pair for pair, near in cosines.items() if near >= threshold}
        assert len(expected) > 20
        assert set(map(tuple, near_pairs(many, threshold).tolist())) == expected, threshold


def test_of_equal_texts_the_first_stands_for_all():
    assert near_pairs(["abcd", "xyz", "abcd", "abc", "abc"], 0.7).tolist() == [[0, 3]]


def test_the_threshold_is_met_by_hand():
    # "abc": ab, bc, abc. "abcd": ab, bc, cd, abc, bcd, abcd. 3 in common: 3 / sqrt(3 * 6) = 0.7071
    assert near_pairs(["abc", "abcd"], 0.707).tolist() == [[0, 1]]
    assert near_pairs(["abc", "abcd"], 0.708).tolist() == []


def test_whether_two_texts_are_near_hangs_on_them_alone():
    company = [f"비슷한이야기{i}번을적었다" for i in range(50)]
    alone = near_pairs(TEXTS, 0.5).tolist()
    among = [p for p in near_pairs(TEXTS + company, 0.5).tolist() if max(p) < len(TEXTS)]
    assert alone == among


def test_fewer_than_two_texts_have_no_pairs():
    assert near_pairs([], 0.5).shape == near_pairs(["가나다"], 0.5).shape == (0, 2)
    assert np.issubdtype(near_pairs([], 0.5).dtype, np.integer)


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


def test_half_a_character_is_replaced_and_two_halves_joined():
    assert clean("일\ud800기") == "일\ufffd기"
    assert clean("꽃 \ud83c\udf38") == "꽃 🌸"

"""Equal, nearly equal and linked: against definitions and by hand."""

import random
import unicodedata
from collections import Counter
from functools import cache
from math import sqrt

import numpy as np
import pytest

from memozy.records import InputError
from memozy.texts import clean, connected, near, near_pairs, normalise


@cache
def grams(text):
    counts = Counter(text[i : i + n] for n in (2, 3, 4) for i in range(len(text) - n + 1))
    return counts, sqrt(sum(v * v for v in counts.values()))


def cosine(a, b):
    """The same measure, straight from its definition."""
    (a, length), (b, other) = grams(a), grams(b)
    return sum(n * b[g] for g, n in a.items() if g in b) / (length * other)


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
@pytest.mark.parametrize("at_a_time", [1, 12, 10_000])
def test_pairs_are_those_whose_cosine_reaches_the_threshold(threshold, at_a_time, monkeypatch):
    monkeypatch.setattr(near, "CELLS", at_a_time)
    monkeypatch.setattr(near, "PRODUCTS", at_a_time)
    long = [text for text in TEXTS if len(text) > 1]
    expected = {(i, j) for j in range(len(long)) for i in range(j) if cosine(long[i], long[j]) >= threshold}
    assert set(map(tuple, near_pairs(TEXTS, threshold).tolist())) == expected


@pytest.mark.parametrize("letters", ["가나", "가나다라마바사", "ab😀\ud800"])
@pytest.mark.parametrize("threshold", [0.5, 0.7071, 0.85, 1.0])
def test_no_pair_is_missed_or_made_up_where_grams_repeat(letters, threshold, monkeypatch):
    monkeypatch.setattr(near, "PRODUCTS", 500)
    rng = random.Random(0)
    many = ["".join(rng.choices(letters, k=rng.choice([2, 3, 5, 20, 60]))) for _ in range(80)]
    many = list(dict.fromkeys(many + [t + t for t in many[:15]] + [t * 9 for t in many[:15]]))
    cosines = {(i, j): cosine(many[i], many[j]) for j in range(len(many)) for i in range(j)}
    expected = [pair for pair, near in sorted(cosines.items()) if near >= threshold - 1e-9]
    assert list(map(tuple, near_pairs(many, threshold).tolist())) == expected
    some = near_pairs(many, threshold, spanning=True)
    assert set(map(tuple, some.tolist())) <= set(expected)
    rows = range(len(many))
    assert np.array_equal(connected([rows], some), connected([rows], np.array(expected)))


def alike(n):
    """n texts of 40 letters, of which one or two differ from one text's."""
    rng = random.Random(3)
    letters = [chr(0xAC00 + i) for i in range(0, 11172, 7)]
    base = rng.sample(letters, 40)
    return ["".join(rng.choice(letters) if i in changed else letter for i, letter in enumerate(base))
            for changed in ({rng.randrange(40), rng.randrange(40)} for _ in range(n))]  # fmt: skip


def test_thousands_of_texts_alike_are_one_group_by_few_comparisons(monkeypatch):
    monkeypatch.setattr(near, "PRODUCTS", 100_000)
    monkeypatch.setattr(near, "MOST", 100_000_000)
    many = alike(2000)
    links = near_pairs(many, 0.7, spanning=True)
    assert len(links) < 3 * len(many)
    assert len(set(connected([many], links).tolist())) == 1
    with pytest.raises(InputError, match="2000 different texts are too much alike"):
        near_pairs(many, 0.7)


def test_no_pair_is_missed_among_many_texts_of_the_same_few_words():
    rng = random.Random(0)
    words = ["바다에", "산에", "친구와", "혼자", "갔다", "먹었다", "좋았다", "!", "커피를", "커피를", "커피를"]
    many = list(dict.fromkeys("".join(rng.choices(words, k=rng.randint(6, 40))) for _ in range(150)))
    many += [f"{t[:9]}갸{t[10:]}" for t in many[:100]]
    cosines = {(i, j): cosine(many[i], many[j]) for j in range(len(many)) for i in range(j)}
    for threshold in (0.5, 0.85, 0.95):
        expected = {pair for pair, near in cosines.items() if near >= threshold - 1e-9}
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

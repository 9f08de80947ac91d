import unicodedata
from collections import Counter
from math import sqrt

import numpy as np
import pytest

from components.split_data import near_duplicates
from components.split_data.near_duplicates import near_pairs, normalise


def cosine(a, b):
    """The same measure, straight from its definition."""

    def grams(text):
        return Counter(text[i : i + n] for n in (2, 3, 4) for i in range(len(text) - n + 1))

    a, b = grams(a), grams(b)
    return sum(a[g] * b[g] for g in a) / sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))


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
@pytest.mark.parametrize("block", [1, 12, 10_000])
def test_pairs_are_those_whose_cosine_reaches_the_threshold(threshold, block, monkeypatch):
    monkeypatch.setattr(near_duplicates, "BLOCK", block)
    long = [text for text in TEXTS if len(text) > 1]
    expected = {(i, j) for j in range(len(long)) for i in range(j) if cosine(long[i], long[j]) >= threshold}
    assert set(map(tuple, near_pairs(TEXTS, threshold).tolist())) == expected


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

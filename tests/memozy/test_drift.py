"""Drift: against scipy, exact enumeration, PSI, and the size of the test."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest

from memozy.drift import SAMPLE, class_drift, rating_drift, text_drift

LEVELS = ("-1", "-0.5", "0", "0.5", "1")


def counts(shares, n):
    return dict(zip(LEVELS, np.random.default_rng(n).multinomial(n, shares).tolist(), strict=True))


def test_divergence_is_scipys_and_needs_no_smoothing():
    old, new = {"a": 30, "b": 10, "c": 0}, {"a": 5, "c": 15, "d": 20}
    found = class_drift(old, new)
    assert found.classes == ("a", "b", "c", "d")
    assert found.old == (0.75, 0.25, 0, 0) and found.new == (0.125, 0, 0.375, 0.5)
    assert found.divergence == pytest.approx(jensenshannon(found.old, found.new, base=2) ** 2)
    assert class_drift({"a": 3}, {"b": 4}).divergence == 1
    assert class_drift({"a": 3, "b": 6}, {"a": 1, "b": 2}).divergence == 0


def test_a_small_shift_is_psi_over_8_ln_2():
    old, new = np.array([0.2, 0.2, 0.2, 0.2, 0.2]), np.array([0.25, 0.22, 0.2, 0.18, 0.15])
    psi = ((new - old) * np.log(new / old)).sum()
    found = class_drift(dict(zip(LEVELS, (old * 1000).astype(int), strict=True)),
                        dict(zip(LEVELS, (new * 1000).astype(int), strict=True)))  # fmt: skip
    assert found.divergence == pytest.approx(psi / (8 * np.log(2)), rel=0.01)


def test_p_is_that_of_every_way_to_deal_the_records():
    """8 records, of which any 3 might have been the new ones."""
    records, new = list("aaaabbbc"), list("bbc")
    old = list("aaaab")

    def divergence(theirs):
        rest = list(records)
        for each in theirs:
            rest.remove(each)
        shares = [[side.count(name) / len(side) for name in "abc"] for side in (rest, theirs)]
        return jensenshannon(*shares, base=2) ** 2

    ways = [divergence([records[i] for i in taken]) for taken in combinations(range(8), 3)]
    exact = np.mean([way >= divergence(new) - 1e-12 for way in ways])
    found = class_drift({n: old.count(n) for n in "abc"}, {n: new.count(n) for n in "abc"})
    assert found.p == pytest.approx(exact, abs=3 * np.sqrt(exact * (1 - exact) / 999))


def test_nothing_is_called_drift_by_chance_nor_for_being_sure_alone():
    shares, rng = [0.1, 0.2, 0.2, 0.3, 0.2], np.random.default_rng(0)
    found = [class_drift(*(dict(zip(LEVELS, rng.multinomial(n, shares).tolist(), strict=True)) for n in (400, 30)))
             for _ in range(300)]  # fmt: skip
    assert binomtest(sum(d.p < 0.05 for d in found), 300, 0.05, alternative="greater").pvalue > 0.01
    assert sum(d.divergence > 0.02 for d in found) > 10  # thirty ratings often look this far off: p says it is chance
    assert not any(d.beyond(0.02) for d in found if d.p > 0.01)
    sure = class_drift(counts(shares, 200_000), counts([0.11, 0.2, 0.2, 0.3, 0.19], 200_001))
    assert sure.p == 0.001 and not sure.beyond(0.01)


def test_a_side_without_records_says_nothing():
    assert class_drift({}, {"1": 3}) is None and class_drift({"1": 3}, {"1": 0}) is None
    assert text_drift([], ["글"]) == [] and text_drift(["글"], []) == []


def test_texts_drift_in_length_and_in_characters_each_alone():
    rng = np.random.default_rng(1)

    def diaries(n, low, high, of="가나다라마바사 "):
        return ["".join(rng.choice(list(of), rng.integers(low, high))) for _ in range(n)]

    old = diaries(400, 40, 80)
    length, characters = text_drift(old, diaries(60, 40, 80))
    assert (length.of, characters.of) == ("lengths in characters", "characters")
    assert not length.beyond(0.1) and not characters.beyond(0.02)
    assert sum(length.old) == pytest.approx(1) and length.classes[0].startswith("40–")

    length, characters = text_drift(old, diaries(60, 10, 30))
    assert length.divergence > 0.8 and length.beyond(0.1) and not characters.beyond(0.02)

    length, characters = text_drift(old, diaries(60, 40, 80, of="가나다라ㅋㅠ!a "))
    assert characters.beyond(0.1) and not length.beyond(0.1)
    by_class = dict(zip(characters.classes, characters.new, strict=True))
    assert by_class["Hangul syllables"] == pytest.approx(4 / 9, abs=0.03)
    assert by_class["single jamo"] == pytest.approx(2 / 9, abs=0.03)
    assert by_class["others"] == pytest.approx(0, abs=1e-9) and sum(by_class.values()) == pytest.approx(1)


def test_many_texts_are_sampled_and_the_answer_repeats_itself():
    old, new = ["오늘은 좋았다"] * (SAMPLE + 10), ["오늘은 좋았다", "바다"] * SAMPLE
    first = text_drift(old, new)
    assert first == text_drift(old, new)
    assert first[0].new[0] == pytest.approx(0.5, abs=0.02)
    assert first[0].classes == ("2", "3–7")


def test_of_each_diary_one_rating_counts():
    """Ten raters of one diary are one judgement, in whatever order they stand; 0.3 is no level."""
    old = pl.DataFrame({"diary_id": ["a", "b", "c", "d"], "rater_id": ["r"] * 4, "rating": [-1.0, -1.0, 1.0, None]})
    new = pl.DataFrame({"diary_id": ["e"] * 10 + ["f", "g"], "rater_id": [f"r{9 - i}" for i in range(10)] + ["r0", "r0"],
                        "rating": [1.0] * 9 + [-1.0, 1.0, 0.3]})  # fmt: skip
    found = rating_drift(old, new)
    assert (found.of, found.classes) == ("ratings", LEVELS)
    assert found.old == pytest.approx((2 / 3, 0, 0, 0, 1 / 3)) and found.new == (0.5, 0, 0, 0, 0.5)
    assert rating_drift(old, new.reverse()) == found
    assert rating_drift(old, new, least=3) is None and rating_drift(old.clear(), new) is None

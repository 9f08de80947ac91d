import pytest

from components.sample_and_filter.selection import Sample, best, contrasts, expected_at_random


def sample(group, response, score, finished=True, fault=False):
    return Sample(group, f"q{group}", response, score, finished, fault)


SEA, HILL, RAIN = "바다를 오래 바라보았다.", "언덕 위에서 도시를 내려다보았다.", "비가 와서 집에 있었다."


def said(samples):
    return [s.response for s in samples]


def test_the_best_of_each_group_are_kept_best_first():
    samples = [sample(0, SEA, 0.1), sample(0, HILL, 0.9), sample(0, RAIN, 0.5), sample(1, "도서관에 갔다.", -0.5)]
    assert said(best(samples, 2, -1.0, None)) == [HILL, RAIN, "도서관에 갔다."]
    assert said(best(samples, 1, -1.0, None)) == [HILL, "도서관에 갔다."]


def test_what_scores_too_little_or_has_a_fault_or_no_end_is_never_kept():
    samples = [sample(0, SEA, 0.9, finished=False), sample(0, HILL, 0.8, fault=True), sample(0, RAIN, 0.3)]
    assert said(best(samples, 3, 0.3, None)) == [RAIN]
    assert best(samples, 3, 0.31, None) == []


def test_what_was_kept_before_makes_way_for_the_next():
    again, nearly = "바다를, 오래 바라보았다", "바다를 오래오래 바라보았다."
    samples = [sample(0, SEA, 0.9), sample(1, again, 0.8), sample(1, nearly, 0.7), sample(1, RAIN, 0.1)]
    assert said(best(samples, 1, -1.0, None)) == [SEA, nearly]  # equal but for signs
    assert said(best(samples, 1, -1.0, 0.7)) == [SEA, RAIN]  # their cosine is 0.75
    assert said(best(samples, 1, -1.0, 0.9)) == [SEA, nearly]


def test_a_near_text_that_was_not_kept_stands_in_no_ones_way():
    nearly = "바다를 오래오래 바라보았다."
    samples = [sample(0, HILL, 0.9), sample(0, SEA, 0.5), sample(1, nearly, 0.1)]
    assert said(best(samples, 1, -1.0, 0.7)) == [HILL, nearly]


def test_pairs_are_the_best_against_the_worst_that_ended():
    samples = [sample(0, SEA, 0.5), sample(0, HILL, -0.25), sample(0, RAIN, -1.0, finished=False)]
    samples += [sample(1, SEA, 0.5), sample(1, HILL, 0.45)]
    samples += [sample(2, SEA, 0.5), sample(2, "{", -1.0, fault=True), sample(2, "", -1.0, fault=True)]
    assert [(a.response, b.response, a.group) for a, b in contrasts(samples, 0.1)] == [(SEA, HILL, 0), (SEA, "{", 2)]
    assert len(contrasts(samples, 0.04)) == 3
    assert contrasts([sample(0, SEA, 0.5), sample(0, RAIN, -1.0, finished=False)], 0.1) == []
    assert contrasts([sample(0, SEA, 0.5), sample(0, SEA, -0.5)], 0.1) == []  # a prompt whose diaries had other luck


def test_without_a_faultless_best_there_is_no_pair():
    assert contrasts([sample(0, SEA, -0.9, fault=True), sample(0, HILL, -1.0, fault=True)], 0.05) == []


def test_at_random_the_kept_would_score_their_groups_mean():
    samples = [
        sample(0, SEA, 0.0),
        sample(0, HILL, 1.0),
        sample(1, RAIN, -1.0),
        sample(1, "산", 0.0),
        sample(2, "길", 0.9),
    ]
    kept = [samples[1], samples[0], samples[3]]  # twice of group 0 (0.5), once of group 1 (-0.5)
    assert expected_at_random(samples, kept) == pytest.approx(0.5 / 3)

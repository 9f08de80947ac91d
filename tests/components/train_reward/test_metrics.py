"""Measures and their intervals, against scipy, scikit-learn and arithmetic; and that 95 % are 95 %."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import cohen_kappa_score

from components.train_reward.metrics import (
    bootstrap,
    clustered_se,
    learning_curve_fit,
    mean_interval,
    measure,
    paired,
    rank_correlation,
    with_intervals,
)
from memozy.records import RATING_LEVELS, InputError

LEVELS = np.array(RATING_LEVELS)


def nearest(values) -> np.ndarray:
    return np.array([round(2 * v) for v in values])  # no test value lies between two levels


def rated(groups: int, per_group: int, seed: int):
    """(score, median, ratings, arms, groups): photos that please or not, and a score that knows a part of it."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), per_group)
    known, unknown = rng.normal(0, 0.3, (2, groups))
    score = known[group] + rng.normal(0, 0.1, len(group))
    ratings = np.clip(np.round(2 * (score + unknown[group] + rng.normal(0, 0.3, len(group)))) / 2, -1, 1)
    return score, np.clip(score + 0.01, -1, 1), ratings, rng.choice(["a", "b"], len(group)), group


def by_other_means(score, median, ratings, arms, constant) -> dict[str, float]:
    mse, constant_mse = np.mean((score - ratings) ** 2), np.mean((constant - ratings) ** 2)
    slope, intercept = np.polyfit(score, ratings, 1)
    within = [np.concatenate([v[arms == a] - v[arms == a].mean() for a in np.unique(arms)]) for v in (score, ratings)]
    return {
        "mse": mse,
        "mae": np.mean(np.abs(median - ratings)),
        "r2": 1 - mse / constant_mse,
        "spearman": spearmanr(score, ratings).statistic,
        "kappa": cohen_kappa_score(nearest(median), nearest(ratings), labels=range(-2, 3), weights="quadratic"),
        "rho2_within": pearsonr(*within).statistic ** 2,
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "constant_mse": constant_mse,
    }


def test_measures_agree_with_scipy_and_scikit_learn():
    score, median, ratings, arms, _ = rated(20, 5, seed=0)
    score[:30] = score[0]  # ties
    expected = by_other_means(score, median, ratings, arms, np.full(100, 0.2))
    found = measure(score, median, ratings, arms, 0.2)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["constant_mae"] == pytest.approx(np.abs(np.median(ratings) - ratings).mean())


def test_measures_by_hand():
    score, ratings = np.array([0.5, 0.0, -0.5]), np.array([1.0, 0.0, -0.5])
    found = measure(score, score, ratings, None, 0.0)
    assert found["mse"] == pytest.approx(0.25 / 3)
    assert found["mae"] == pytest.approx(0.5 / 3)
    assert found["constant_mse"] == pytest.approx(1.25 / 3)
    assert found["constant_mae"] == pytest.approx(1.5 / 3)  # the median rating is 0
    assert found["r2"] == pytest.approx(1 - 0.25 / 1.25)
    assert found["spearman"] == pytest.approx(1.0)
    # centred: (0.5, 0, -0.5) and (5, -1, -4)/6; product 0.75, squares 0.5 and 42/36
    assert found["rho2_within"] == pytest.approx(0.75**2 / (0.5 * 42 / 36))
    assert found["calibration_slope"] == pytest.approx(0.75 / 0.5)
    assert found["calibration_intercept"] == pytest.approx(1 / 6)
    # levels in steps of 0.5: (1, 0, -1) and (2, 0, -1) are 1/3 apart in square, and 21/9 if paired by chance
    assert found["kappa"] == pytest.approx(1 - (1 / 3) / (21 / 9))


def test_calibration_error_by_hand():
    score = np.arange(20) / 20  # ten bins of two; each bin off by 0.1, up or down in turn, in all but the last
    off = np.repeat([0.1, -0.1] * 5, 2)
    off[-2:] = 0
    assert measure(score, score, score + off)["calibration_error"] == pytest.approx(0.09)
    # within a bin what is over makes up for what is under
    assert measure(score, score, score + np.tile([0.2, -0.2], 10))["calibration_error"] == pytest.approx(0)
    # equal scores share a bin: the constant that is right on average is calibrated
    ratings = np.tile([1.0, -1.0], 10)
    assert measure(np.zeros(20), np.zeros(20), ratings)["calibration_error"] == 0


def test_within_arms_a_difference_between_arms_is_no_merit():
    arms = np.array(["good", "good", "poor", "poor", None, None], object)
    ratings = np.array([1.0, 0.5, -0.5, -1.0, 0.0, 0.5])
    between = np.array([0.8, 0.8, -0.8, -0.8, 0.1, 0.1])
    assert measure(between, between, ratings, None)["rho2_within"] > 0.7
    assert measure(between, between, ratings, arms)["rho2_within"] == 0


def test_a_constant_explains_nothing_even_where_it_differs_between_folds():
    _, _, ratings, _, groups = rated(10, 4, seed=1)
    folds = np.repeat([ratings[20:].mean(), ratings[:20].mean()], 20)  # each half is told the other's mean
    assert abs(spearmanr(folds, ratings).statistic) > 0.1, "the other half's mean looks like knowledge"
    found = measure(folds, np.zeros(40), ratings, None, folds)
    for name in ("r2", "spearman", "rho2_within", "calibration_slope", "kappa"):
        assert found[name] == pytest.approx(0), name
    assert found["calibration_intercept"] == pytest.approx(ratings.mean())
    silent = with_intervals(np.zeros(40), np.zeros(40), np.zeros(40), None, 0.0, groups, n=20)
    assert all(interval == (0, 0, 0) for interval in silent.values()), "nothing varies at all"


def test_each_measure_is_the_mean_over_repeats():
    score, median, ratings, arms, groups = rated(10, 4, seed=2)
    other, constants = score[::-1], np.array([[0.1], [0.3]]) * np.ones(40)
    both = measure(np.stack([score, other]), np.stack([median, -median]), ratings, arms, constants)
    one = measure(score, median, ratings, arms, constants[0])
    two = measure(other, -median, ratings, arms, constants[1])
    assert both == pytest.approx({name: (one[name] + two[name]) / 2 for name in one})
    intervals = with_intervals(np.stack([score, score]), np.stack([median, median]), ratings, arms, 0.1, groups, n=50)
    single = with_intervals(score, median, ratings, arms, 0.1, groups, n=50)
    for name in single:
        assert intervals[name] == pytest.approx(single[name]), "both repeats see the same resampled photos"


def test_intervals_are_those_of_resampling_the_rows_one_by_one():
    score, median, ratings, arms, groups = rated(12, 5, seed=3)
    found = with_intervals(score, median, ratings, arms, 0.1, groups, n=60, seed=5)
    draws = []
    for times in np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), 60):
        rows = np.repeat(np.arange(60), times[groups])
        draws.append(by_other_means(*(v[rows] for v in (score, median, ratings, arms)), 0.1))
    for name in draws[0]:
        low, high = np.percentile([d[name] for d in draws], (2.5, 97.5))
        assert (found[name].low, found[name].high) == pytest.approx((low, high)), name
        assert low < found[name].value < high
    error = found["calibration_error"]
    assert 0 <= error.low < error.high


def test_long_data_is_resampled_in_steps_and_the_seed_decides():
    values, groups = np.random.default_rng(0).normal(size=3000), np.arange(3000) // 3
    first = mean_interval(values, groups, n=200, seed=1)
    assert first == mean_interval(values, groups, n=200, seed=1) != mean_interval(values, groups, n=200, seed=2)
    half = 1.96 * clustered_se(values, groups)
    assert (first.high - first.low) / 2 == pytest.approx(half, rel=0.15)


def test_spearman_of_weighted_rows_is_that_of_repeated_rows():
    rng = np.random.default_rng(4)
    x, y, times = rng.integers(0, 6, 50), rng.normal(size=50), rng.integers(0, 4, (3, 50))
    expected = [spearmanr(np.repeat(x, t), np.repeat(y, t)).statistic for t in times]
    assert rank_correlation(times.astype(float), x, y) == pytest.approx(expected)


def test_an_interval_over_groups_covers_and_one_over_rows_is_too_narrow():
    def held(interval, truth) -> bool:
        return interval.low <= truth <= interval.high

    rho = spearmanr(*rated(50_000, 2, seed=1000)[:3:2]).statistic
    grouped, alone, spearman = [], [], []
    for seed in range(150):
        score, _, ratings, _, groups = rated(40, 5, seed)
        grouped.append(held(mean_interval(ratings - score, groups, 200, seed), 0))
        alone.append(held(mean_interval(ratings - score, np.arange(200), 200, seed), 0))
        ranks = bootstrap(lambda w, s=score, r=ratings: rank_correlation(w, s, r)[:, None], groups, 200, seed)
        spearman.append(held(ranks[0], rho))
    assert 0.88 <= np.mean(grouped) <= 0.99
    assert 0.88 <= np.mean(spearman) <= 0.99
    assert np.mean(alone) < 0.80


def test_paired_differences():
    rng, groups = np.random.default_rng(0), np.arange(100) // 4
    hard = rng.exponential(1.0, 25)[groups]  # some photos are hard for both
    assert paired(hard + 0.1, hard, groups) == pytest.approx((0.1, 0.1, 0.1)), "what both suffer cancels"
    noise = rng.normal(0, 0.1, (3, 100))
    difference = paired(hard + noise, hard, groups, n=500)
    assert difference.value == pytest.approx(noise.mean())
    assert difference.low < difference.value < difference.high
    other_way = paired(hard, hard + noise, groups, n=500)
    assert (-other_way.high, -other_way.low) == pytest.approx((difference.low, difference.high))
    width = difference.high - difference.low
    assert width == pytest.approx(3.92 * clustered_se(noise.mean(axis=0), groups), rel=0.15)


def test_clustered_standard_error_by_hand():
    values = np.array([1.0, 3.0, 5.0, 7.0])
    # each row its own group: the usual s / sqrt(n), s² = 20/3
    assert clustered_se(values, np.arange(4)) == pytest.approx((20 / 3 / 4) ** 0.5)
    # two groups: sums of deviations -4 and 4; sqrt(2/1 · 32) / 4 = 2
    assert clustered_se(values, np.array(["a", "a", "b", "b"])) == pytest.approx(2.0)


def test_one_photo_gives_no_interval():
    with pytest.raises(InputError, match="has 1 groups.*at least two"):
        mean_interval(np.arange(4.0), np.zeros(4))


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_a_clean_learning_curve_is_found_again(exponent):
    sizes = np.array([40, 80, 160, 320])
    curve = learning_curve_fit(sizes, 0.18 + 0.5 * sizes**-exponent)
    assert (curve.floor, curve.scale, curve.exponent) == pytest.approx((0.18, 0.5, exponent))
    assert (curve.now, curve.doubled) == pytest.approx((0.18 + 0.5 * 320**-exponent, 0.18 + 0.5 * 640**-exponent))
    assert curve.gain.value == pytest.approx(curve.now - curve.doubled)
    assert curve.at([320, 640]) == pytest.approx([curve.now, curve.doubled])


def test_the_gain_from_twice_the_ratings_is_in_its_interval():
    sizes, rng = np.array([64, 128, 192, 256, 320]), np.random.default_rng(0)
    held = shown = flat = 0
    for _ in range(300):
        noise = rng.normal(0, 0.002, 5)
        curve = learning_curve_fit(sizes, 0.17 + 0.4 * sizes**-0.6 + noise)  # an exponent that is not among ours
        held += curve.gain.low <= 0.4 * (320**-0.6 - 640**-0.6) <= curve.gain.high
        shown += curve.gain.low > 0
        flat += learning_curve_fit(sizes, 0.2 + noise).gain.low > 0
    assert held / 300 >= 0.93
    assert shown / 300 > 0.9
    assert flat / 300 <= 0.05, "a curve that has gone flat promises nothing"


def test_three_sizes_are_too_few():
    with pytest.raises(InputError, match="has 3 sizes.*four"):
        learning_curve_fit([40, 80, 160, 160], [0.3, 0.25, 0.2, 0.2])

"""From scores to ratings: against the cumulative-logit likelihood, by hand, and by simulation that 90 % are 90 %."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from memozy.reward.calibration import LEAST_SD, LEVELS, Calibration

SCORES = np.linspace(-1, 1, 41)
offsets = st.lists(st.floats(-8, 8), min_size=4, max_size=4).map(lambda v: tuple(sorted(v, reverse=True)))
calibrations = st.builds(
    Calibration,
    slope=st.floats(0, 20),
    offsets=offsets,
    reach=st.floats(0, 5),
    coverage=st.just(0.9),
    cap=st.just(0.0),
    residual_sd=st.just(0.4),
)


def drawn(n: int, slope: float, seed: int, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and ratings that follow proportional odds in them with offsets 3, 1.5, 0.5, -1.5; then noisier scores."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-0.8, 0.8, n)
    above = 1 / (1 + np.exp(-(slope * scores[:, None] + np.array([3, 1.5, 0.5, -1.5]))))
    ratings = LEVELS[(rng.random((n, 1)) < above).sum(axis=1)]
    return np.clip(scores + noise * rng.standard_normal(n), -1, 1), ratings


def by_maximum_likelihood(scores: np.ndarray, ratings: np.ndarray) -> Calibration:
    """The cumulative-logit model, written down anew and handed to an optimiser."""
    level = np.searchsorted(LEVELS, ratings)

    def offsets(parameters):  # the first, and how far each of the others lies below the one before
        return parameters[1] - np.cumsum([0.0, *np.exp(parameters[2:])])

    def loss(parameters):
        at = parameters[0] * scores[:, None] + offsets(parameters)
        above = np.column_stack([np.ones(len(scores)), 1 / (1 + np.exp(-at)), np.zeros(len(scores))])
        chance = (above[:, :-1] - above[:, 1:])[np.arange(len(scores)), level]
        return -np.log(chance + 1e-12).sum()

    best = minimize(loss, [1.0, 2.0, 0.0, 0.0, 0.0], method="BFGS").x
    return Calibration(best[0], tuple(offsets(best)), 1.0, 0.9, 0.0, 0.0)


@given(calibrations)
def test_a_distribution_at_every_score(calibration):
    p = calibration.probabilities(SCORES)
    assert p.shape == (41, 5) and (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    at_most = p.cumsum(axis=1)[:, :-1]
    assert (np.diff(at_most, axis=0) <= 1e-12).all(), "a better score never makes a high rating less likely"


@given(calibrations)
def test_the_median_has_the_least_expected_absolute_error(calibration):
    p = calibration.probabilities(SCORES)
    expected = p @ np.abs(LEVELS[:, None] - LEVELS[None, :])  # (41, 5): of saying each of the levels
    said = np.searchsorted(LEVELS, calibration.median(SCORES))
    np.testing.assert_allclose(expected[np.arange(41), said], expected.min(axis=1), atol=1e-9)
    assert (np.diff(said) >= 0).all()


def test_by_hand():
    calibration = Calibration(0.0, (np.log(9), np.log(4), 0.0, -np.log(4)), 1.5, 0.9, 0.0, 0.4)
    p = calibration.probabilities(np.zeros(1))[0]
    np.testing.assert_allclose(p, [0.1, 0.1, 0.3, 0.3, 0.2])
    # half of the ratings are reached at level 0; mean 0.2; of the squares 0.1 + 0.025 + 0.075 + 0.2 = 0.4
    assert calibration.median(np.zeros(1)) == [0.0]
    assert calibration.sd(np.zeros(1)) == pytest.approx(0.36**0.5)
    low, high = calibration.interval(np.array([0.0, 0.5]))
    np.testing.assert_allclose(low, [-0.9, -0.4])
    np.testing.assert_allclose(high, [0.9, 1.0])


def test_what_is_fitted_agrees_with_maximum_likelihood_and_with_the_truth():
    for slope in (0.8, 3.0, 8.0):
        scores, ratings = drawn(3000, slope, seed=1)
        ours = Calibration.fit(scores, ratings, 0.9)
        likeliest = by_maximum_likelihood(scores, ratings).probabilities(SCORES)
        truth = Calibration(slope, (3, 1.5, 0.5, -1.5), 1.0, 0.9, 0.0, 0.0).probabilities(SCORES)
        inside = np.abs(SCORES) <= 0.8
        assert np.abs(ours.probabilities(SCORES) - likeliest)[inside].max() < 0.02
        assert np.abs(ours.probabilities(SCORES) - truth)[inside].max() < 0.05
        assert ours.cap == np.median(scores)
        assert ours.residual_sd == pytest.approx(np.sqrt(np.mean((scores - ratings) ** 2)))


def test_scores_that_tell_nothing_give_every_text_the_shares_of_the_levels():
    rng = np.random.default_rng(2)
    ratings = rng.choice(LEVELS, 400, p=[0.1, 0.1, 0.2, 0.4, 0.2])
    shares = [(ratings == level).mean() for level in LEVELS]
    for scores in (np.full(400, 0.3), 0.5 - 0.3 * ratings + rng.normal(0, 0.1, 400)):  # constant; upside down
        calibration = Calibration.fit(scores, ratings, 0.9)
        np.testing.assert_allclose(calibration.probabilities(scores), np.tile(shares, (400, 1)), atol=0.01)
        assert (calibration.median(scores) == np.median(ratings)).all()


@pytest.mark.parametrize("level", LEVELS)
def test_raters_who_all_say_the_same(level):
    scores = np.random.default_rng(0).uniform(-1, 1, 30)
    for constant in (scores, np.full(30, level)):
        calibration = Calibration.fit(constant, np.full(30, level), 0.9)
        assert (calibration.median(scores) == level).all()
        assert (calibration.probabilities(scores)[:, LEVELS == level] > 0.8).all()
        assert (calibration.sd(scores) >= LEAST_SD).all()
        assert np.isfinite(calibration.interval(scores)).all()


def test_mean_ratings_between_the_levels():
    scores, ratings = drawn(200, 3.0, seed=3)
    between = Calibration.fit(scores, np.clip(ratings - 0.25, -1, 1), 0.9)
    # a rating of 0.25 is above 0 and not above 0.5, as 0.5 is: all that changes is what fell from -0.5 to -0.75
    same = Calibration.fit(scores, ratings, 0.9)
    np.testing.assert_allclose(between.probabilities(SCORES), same.probabilities(SCORES), atol=1e-6)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("n", [40, 300])
def test_new_ratings_lie_within_the_interval_as_often_as_stated(coverage, n):
    inside = []
    for seed in range(200):
        scores, ratings = drawn(n + 400, 3.0, seed, noise=0.2)
        low, high = Calibration.fit(scores[:n], ratings[:n], coverage).interval(scores[n:])
        inside.append(((low <= ratings[n:]) & (ratings[n:] <= high)).mean())
    doubt = np.std(inside) / np.sqrt(len(inside))
    assert coverage - 3 * doubt <= np.mean(inside) <= coverage + 1 / n + 3 * doubt


def test_better_scores_have_narrower_intervals():
    rng = np.random.default_rng(4)
    known = rng.uniform(-0.8, 0.8, 1000)
    ratings = np.clip(np.round(2 * (known + rng.normal(0, 0.2, 1000))) / 2, -1, 1)
    widths = []
    for noise in (0.0, 0.3, 0.9):  # what is expected of a photo whose worth is seen through noise
        scores = known.var() / (known.var() + noise**2) * (known + noise * rng.normal(size=1000))
        low, high = Calibration.fit(scores, ratings, 0.9).interval(scores)
        widths.append((high - low).mean())
    assert widths[0] < 0.8 * widths[1] and widths[1] < 0.8 * widths[2]


def test_where_ratings_agree_the_interval_is_narrower():
    rng = np.random.default_rng(5)
    scores = rng.uniform(-0.4, 0.95, 2000)
    doubtful = scores < 0.5  # of these anything between -1 and 1 is said, of the others the best or the next
    ratings = np.where(doubtful, rng.choice(LEVELS, 2000), rng.choice([0.5, 1.0], 2000))
    low, high = Calibration.fit(scores, ratings, 0.9).interval(np.array([0.0, 0.9]))
    assert high[1] - low[1] < 0.6 * (high[0] - low[0])


def test_reach_by_hand():
    """All scores 0 and ratings whose distances are known: reach times sd is the distance with the right rank."""
    ratings = np.array([-1.0, -0.5, -0.5, 0.0, 0.0, 0.0, 0.5, 0.5, 1.0])
    calibration = Calibration.fit(np.zeros(9), ratings, 0.9)
    # rank ceil(10 · 0.9) = 9 of nine
    assert calibration.reach * calibration.sd(np.zeros(1)) == pytest.approx(1.0)
    calibration = Calibration.fit(np.zeros(9), ratings, 0.7)
    # rank 7 of 0, 0, 0, .5, .5, .5, .5, 1, 1
    assert calibration.reach * calibration.sd(np.zeros(1)) == pytest.approx(0.5)


def test_too_few_ratings_promise_nothing():
    calibration = Calibration.fit(np.zeros(8), np.array([-1, -0.5, 0, 0, 0, 0.5, 0.5, 1]), 0.9)
    assert calibration.reach == np.inf, "rank ceil(9 · 0.9) = 9 of eight"
    low, high = calibration.interval(np.array([-1.0, 0.0, 0.7]))
    assert (low == -1).all() and (high == 1).all()

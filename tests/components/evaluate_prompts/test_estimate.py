import numpy as np
import pytest
import statsmodels.api as sm
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate
from scipy import stats

from components.evaluate_prompts.estimate import (
    FLOOR,
    PRIOR,
    Ratings,
    corrected,
    humans_alone,
    judge_alone,
    weighted,
)  # fmt: skip
from memozy.raters import fit

NAN = np.nan


def by_one(table):
    """A table of ratings, NaN where there is none, as one rater gave them."""
    arm, context = np.nonzero(~np.isnan(table))
    return Ratings(arm, context, np.zeros(len(arm), int), np.asarray(table)[arm, context])


def levels(q):
    return np.clip(np.round(q * 2), -2, 2) / 2


def test_corrected_mean_by_hand():
    """Two arms, 4 contexts each scored, rated on 3 and 2 of them; everything worked on paper."""
    scores = np.array([[0.0, 0.5, 1.0, 0.1], [0.0, 0.4, 0.8, 0.8]])
    ratings = np.array([[0.0, 0.5, 1.0, NAN], [0.0, 0.0, NAN, NAN]])
    # Within arms, over rated: F deviations (-.5, 0, .5) and (-.2, .2), Y's (-.5, 0, .5) and (0, 0).
    # ff = .5 + .08, fy = .5, yy = .5: slope = .5/.58 = 25/29, rho = .5/sqrt(.29)
    # residual = .5 - .25/.58 = .068966 on 3 - 1 = 2 df: se2 = .034483/.58 = .059453; 1 - .059453/.743163 = .92
    e = corrected(scores, by_one(ratings))
    assert e.rho == pytest.approx(0.9284767)
    assert e.weight == pytest.approx(25 / 29 * 0.92)
    lam = 25 / 29 * 0.92
    assert e.mean == pytest.approx([0.5 - lam * 0.5 + lam * 0.4, 0.0 - lam * 0.2 + lam * 0.5])
    assert e.score_mean == pytest.approx([0.4, 0.5])
    assert e.n_rated.tolist() == e.n_ratings.tolist() == [3, 2] and e.n_pulls.tolist() == [4, 4]


def test_as_ppi_python_has_it():
    """One arm. Their unlabelled diaries are those without a rating; then both tunings of lambda come to one estimate."""
    rng = np.random.default_rng(4)
    q = rng.normal(0.1, 0.3, 2000)
    f, y = np.clip(0.6 * q - 0.2 + rng.normal(0, 0.1, 2000), -1, 1), levels(q + rng.normal(0, 0.2, 2000))
    e = corrected(f[None], by_one(np.where(np.arange(2000) < 500, y, NAN)[None]))
    assert e.mean[0] == pytest.approx(ppi_mean_pointestimate(y[:500], f[:500], f, lam=e.weight).item(), abs=1e-12)
    assert e.mean[0] == pytest.approx(ppi_mean_pointestimate(y[:500], f[:500], f[500:]).item(), abs=1e-3)
    low, high = (x.item() for x in ppi_mean_ci(y[:500], f[:500], f[500:], alpha=0.05))
    ours = e.interval(0.95)
    assert (ours[0][0], ours[1][0]) == pytest.approx((low, high), abs=1.5e-3)
    assert high - low < 0.85 * np.diff(humans_alone(f[None], by_one(y[None, :500])).interval(0.95), axis=0).item()


def test_fully_rated_is_the_paired_t_test():
    """With every context rated and a useless score the difference and its error are those of a paired t-test."""
    rng = np.random.default_rng(3)
    block = rng.normal(0, 0.3, 200)
    ratings = levels(block + rng.normal(0.1, 0.3, (3, 200)))
    e = corrected(np.zeros((3, 200)), by_one(ratings))
    assert e.weight == 0 and e.rho is None
    difference, se = e.differences()
    peer = stats.ttest_rel(ratings[0], ratings[2])
    assert difference[0, 2] == pytest.approx((ratings[0] - ratings[2]).mean())
    # the moderated variance adds a little
    assert difference[0, 2] / se[0, 2] == pytest.approx(peer.statistic, rel=0.03)
    assert abs(difference[0, 2] / se[0, 2]) <= abs(peer.statistic)


def test_pairing_by_hand():
    """Two arms, levels a block apart by the same 0.5 but for one context."""
    ratings = np.array([[0.0, 0.5, 1.0, 0.5], [-0.5, 0.0, 0.5, 0.5]])
    e = corrected(np.zeros((2, 4)), by_one(ratings))
    # Means .5 and .125; squared deviations .5 and .6875; covariance .4375 / 3 between them; both variances are
    # moderated to (own + 5 * 1.1875 / 6) / 8 where that is more: arm 0: .186198 > .166667, arm 1: .209635 < .229167
    assert e.mean == pytest.approx([0.5, 0.125])
    assert e.covariance * 4 == pytest.approx(np.array([[0.1861979, 0.5 / 3], [0.5 / 3, 0.2291667]]))
    difference, se = e.differences()
    assert difference == pytest.approx(np.array([[0, 0.375], [-0.375, 0]]))
    assert se[0, 1] ** 2 == pytest.approx((0.1861979 + 0.2291667 - 2 * 0.5 / 3) / 4)


def test_a_diary_rated_twice_counts_once_by_the_mean_of_its_adjusted_ratings():
    """Arm 0 on three contexts, the first rated by both raters; arm 1 on two."""
    ratings = Ratings(arm=np.array([0, 0, 0, 0, 1, 1]), context=np.array([0, 0, 1, 2, 0, 1]),
                      rater=np.array([3, 8, 3, 3, 8, 8]), value=np.array([0.5, 1.0, 0.0, 0.5, 0.5, -0.5]))  # fmt: skip
    e = corrected(np.zeros((2, 3)), ratings)
    strict, lenient = e.raters.bias
    assert lenient == pytest.approx(-strict) and lenient > 0
    assert e.mean[0] == pytest.approx(((0.5 - strict + 1.0 - lenient) / 2 + (0.0 - strict) + (0.5 - strict)) / 3)
    assert e.mean[1] == pytest.approx(0.0 - lenient)
    assert e.n_rated.tolist() == [3, 2] and e.n_ratings.tolist() == [4, 2]
    # shares: arm 0 has 5/6 of the first and 1/6 of the second, arm 1 all of the second; V = v [[1, -1], [-1, 1]]
    v = e.raters.covariance[0, 0]
    blind = corrected(np.zeros((2, 3)), Ratings(ratings.arm, ratings.context, np.zeros(6, int),
                      ratings.value - e.raters.bias[[0, 1, 0, 0, 1, 1]]))  # fmt: skip
    freedom = 3 / (3 - max(1 - 2 * v / e.raters.rater_sd**2, 0))  # of 5 diaries and 2 arms, less the biases'
    assert e.covariance == pytest.approx(freedom * blind.covariance + v * np.array([[4 / 9, -2 / 3], [-2 / 3, 1]]))


def test_unbalanced_raters_as_by_least_squares():
    """Arms and raters as fixed effects (statsmodels): with many ratings the prior on biases hardly matters."""
    rng = np.random.default_rng(6)
    n, leaning = 1500, np.array([-0.25, 0.0, 0.25])
    arm, rater = rng.integers(2, size=n), rng.integers(3, size=n)
    rater = np.where((arm == 1) & (rng.random(n) < 0.7), 2, rater)  # the lenient one rates most of arm 1
    value = levels(rng.normal(0, 0.4, n) + leaning[rater])
    e = corrected(np.zeros((2, n)), Ratings(arm, np.arange(n), rater, value))
    design = np.column_stack([np.ones(n), arm, rater == 1, rater == 2]).astype(float)
    peer = sm.OLS(value, design).fit()
    difference, se = e.differences()
    assert difference[1, 0] == pytest.approx(peer.params[1], abs=0.1 * peer.bse[1])
    assert se[1, 0] == pytest.approx(peer.bse[1], rel=0.05)
    plain = value[arm == 1].mean() - value[arm == 0].mean()
    assert plain > 0.1 and abs(difference[1, 0]) < 2 * se[1, 0]  # the truth is 0


def test_more_than_ten_raters_keep_their_own_biases():
    """Rater 2 is lenient and rates arm 1 alone, which is no better."""
    rng = np.random.default_rng(7)
    rater = np.arange(1200) % 12
    arm = np.where(rater == 2, 1, rng.integers(2, size=1200))
    arm[rng.random(1200) < 0.1] = 0
    value = levels(rng.normal(0, 0.2, 1200) + np.where(rater == 2, 0.6, 0.0))
    e = corrected(np.zeros((2, 1200)), Ratings(arm, np.arange(1200), rater, value))
    assert e.raters.raters[int(np.argmax(e.raters.bias))] == "2"
    assert value[arm == 1].mean() - value[arm == 0].mean() > 0.05
    assert abs(e.mean[1] - e.mean[0]) < 0.03


def test_equal_ratings_are_no_certainty():
    ratings = np.full((2, 10), 1.0)
    ratings[1] = [0.5, 1, 0, 1, 0.5, -0.5, 1, 1, 0, 0.5]
    e = corrected(np.zeros((2, 10)), by_one(ratings))
    common = ratings[1].var(ddof=1) / 2
    assert e.se[0] == pytest.approx(np.sqrt(PRIOR * common / (9 + PRIOR) / 10))
    alike = corrected(np.zeros((2, 10)), by_one(np.ones((2, 10))))
    assert alike.se == pytest.approx(np.sqrt(PRIOR * FLOOR / (9 + PRIOR) / 10))
    assert alike.differences()[1][0, 1] == pytest.approx(np.sqrt(2 * FLOOR / 10))


@pytest.mark.parametrize("bias", [0.0, -0.3])
def test_a_good_judge_sharpens_and_its_bias_cancels(bias):
    """Over draws: unbiased whatever the judge's bias, and the stated error is the real one."""
    rng, means, errors, plain = np.random.default_rng(5), [], [], []
    for _ in range(200):
        q = rng.normal(0.0, 0.3, (2, 100))
        y = np.clip(q + rng.normal(0, 0.2, q.shape), -1, 1)
        y[:, 40:] = NAN
        f = np.clip(q * 0.6 + rng.normal(0, 0.05, q.shape) + [[bias], [0]], -1, 1)
        e = corrected(f, by_one(y))
        means.append(e.mean[0])
        errors.append(e.se[0])
        plain.append(humans_alone(f, by_one(y)).mean[0])
    assert plain[-1] == pytest.approx(np.nanmean(y[0]))
    assert abs(np.mean(means)) < 4 * np.std(means) / np.sqrt(200)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.12)  # 200 draws know it to 5 %
    assert np.std(means) < 0.85 * np.std(plain)


def test_a_useless_or_contrary_judge_is_not_heeded():
    rng = np.random.default_rng(1)
    y = rng.choice([-0.5, 0, 0.5], (3, 200))
    assert corrected(rng.uniform(-1, 1, y.shape), by_one(y)).weight < 0.05
    assert corrected(-y, by_one(y)).weight == 0
    assert corrected(-y, by_one(y)).rho == pytest.approx(-1)
    assert corrected(y, by_one(y)).weight == pytest.approx(1)


def test_the_judge_alone_is_its_scores_mean():
    scores = np.array([[0.2, 0.4, 0.6, NAN], [-0.5, 0.0, 0.1, 0.4]])
    low, high = judge_alone(scores).interval(0.95)
    peer = stats.ttest_1samp([0.2, 0.4, 0.6], 0).confidence_interval(0.95)
    assert (low[0], high[0]) == pytest.approx((peer.low, peer.high))
    with pytest.raises(ValueError, match=r"at least 2 scores; got \[1, 2\]"):
        judge_alone(np.array([[0.2, NAN], [0.1, 0.2]]))


def test_order_of_contexts_and_arms_does_not_matter():
    rng = np.random.default_rng(2)
    f, y = rng.uniform(-1, 1, (3, 50)), rng.choice([-0.5, 0, 0.5], (3, 50))
    y[0, :20] = NAN
    a, order, arms = corrected(f, by_one(y)), rng.permutation(50), [2, 0, 1]
    b = corrected(f[arms][:, order], by_one(y[arms][:, order]))
    assert b.mean == pytest.approx(a.mean[arms])
    assert b.covariance == pytest.approx(a.covariance[np.ix_(arms, arms)])


def test_weighted_feedback_by_hand():
    """Three showings of each arm."""
    e = weighted(np.array([0, 1, 0, 1, 0, 1]), np.array([1.0, 0.5, 0.0, 0.5, -1.0, -1.0]),
                 np.array([0.5, 0.5, 0.25, 0.5, 0.5, 0.5]), 2)  # fmt: skip
    # arm 0: weights 2, 4, 2; mean (2 + 0 - 2) / 8; Kish 64 / 24; variance 3/2 (4 + 0 + 4) / 64
    # arm 1: weights 2 each: the plain mean 0 and its s^2 / n = .75 / 3
    assert e.mean == pytest.approx([0, 0])
    assert e.n_rated == pytest.approx([64 / 24, 3])
    assert e.n_ratings.tolist() == e.n_pulls.tolist() == [3, 3]
    # variances of one: 3/2 8/24 = .5 and .75; common (.5 5/3 + .75 2) / (11/3) = .636364; arm 0 moderated up to
    # (.5 5/3 + 5 .636364) / (20/3) = .602273
    assert e.covariance == pytest.approx(np.diag([0.6022727 * 24 / 64, 0.25]))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"propensity": [0.5, 0.0]}, r"\(0, 1\]"),
        ({"propensity": [0.5, 1.5]}, r"\(0, 1\]"),
        ({"value": [0.5, 2.0]}, r"\[-1, 1\]"),
        ({"value": [0.5]}, "one of each"),
        ({"n_arms": 2}, r"2 showings; got \[2, 0\]"),
    ],
)
def test_bad_feedback_is_refused(change, word):
    good = {"arm": np.array([0, 0]), "value": [0.5, 0.0], "propensity": [0.5, 0.5], "n_arms": 1}
    weighted(**good)
    with pytest.raises(ValueError, match=word):
        weighted(**(good | change))


@pytest.mark.parametrize(
    ("scores", "ratings", "word"),
    [
        ([[0.0, 0.0], [0.0, 0.0]], [[0.5, 0.5], [0.5, NAN]], "at least 2 rated diaries"),
        ([[0.0, NAN], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]], "needs a score"),
        ([[0.0, 2.0], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]], r"\[-1, 1\]"),
        ([[0.0, np.inf], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]], r"\[-1, 1\]"),
        ([[0.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]], "invalid entry"),
    ],
)
def test_bad_tables_are_refused(scores, ratings, word):
    with pytest.raises(ValueError, match=word):
        corrected(np.array(scores), by_one(np.array(ratings)))


def test_bad_ratings_are_refused():
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        by_one(np.array([[2.0, 0.5]]))
    with pytest.raises(ValueError, match="one of each"):
        Ratings(np.zeros(2, int), np.zeros(2, int), np.zeros(1, int), np.zeros(2))


def test_the_biases_are_those_of_the_rater_model():
    rng = np.random.default_rng(8)
    arm, context, rater = rng.integers(2, size=90), np.arange(90), rng.integers(3, size=90)
    value = levels(rng.normal(0, 0.4, 90) + rater * 0.3)
    effects = fit(value, arm * 90 + context, rater, arm)
    assert corrected(np.zeros((2, 90)), Ratings(arm, context, rater, value)).raters.bias == pytest.approx(effects.bias)

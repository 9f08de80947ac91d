import numpy as np
import pytest
from scipy import stats

from components.evaluate_prompts.estimate import FLOOR, PRIOR, corrected

NAN = np.nan


def test_corrected_mean_by_hand():
    """Two arms, 4 contexts each scored, rated on 3 and 2 of them; everything worked on paper."""
    scores = np.array([[0.0, 0.5, 1.0, 0.1], [0.0, 0.4, 0.8, 0.8]])
    ratings = np.array([[0.0, 0.5, 1.0, NAN], [0.0, 0.0, NAN, NAN]])
    # Within arms, over rated: F deviations (-.5, 0, .5) and (-.2, .2), Y's (-.5, 0, .5) and (0, 0).
    # ff = .5 + .08, fy = .5, yy = .5: slope = .5/.58 = 25/29, rho = .5/sqrt(.29)
    # residual = .5 - .25/.58 = .068966 on 3 - 1 = 2 df: se2 = .034483/.58 = .059453; 1 - .059453/.743163 = .92
    e = corrected(scores, ratings)
    assert e.rho == pytest.approx(0.9284767)
    assert e.weight == pytest.approx(25 / 29 * 0.92)
    lam = 25 / 29 * 0.92
    assert e.mean == pytest.approx([0.5 - lam * 0.5 + lam * 0.4, 0.0 - lam * 0.2 + lam * 0.5])
    assert e.score_mean == pytest.approx([0.4, 0.5])
    assert e.n_rated.tolist() == [3, 2] and e.n_pulls.tolist() == [4, 4]


def test_fully_rated_is_the_paired_t_test():
    """With every context rated and a useless score the difference and its error are those of a paired t-test."""
    rng = np.random.default_rng(3)
    block = rng.normal(0, 0.3, 200)
    ratings = np.clip(np.round((block + rng.normal(0.1, 0.3, (3, 200))) * 2), -2, 2) / 2
    e = corrected(np.zeros((3, 200)), ratings)
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
    e = corrected(np.zeros((2, 4)), ratings)
    # Means .5 and .125; squared deviations .5 and .6875; covariance .4375 / 3 between them; both variances are
    # moderated to (own + 5 * 1.1875 / 6) / 8 where that is more: arm 0: .186198 > .166667, arm 1: .209635 < .229167
    assert e.mean == pytest.approx([0.5, 0.125])
    assert e.covariance * 4 == pytest.approx(np.array([[0.1861979, 0.5 / 3], [0.5 / 3, 0.2291667]]))
    difference, se = e.differences()
    assert difference == pytest.approx(np.array([[0, 0.375], [-0.375, 0]]))
    assert se[0, 1] ** 2 == pytest.approx((0.1861979 + 0.2291667 - 2 * 0.5 / 3) / 4)


def test_equal_ratings_are_no_certainty():
    ratings = np.full((2, 10), 1.0)
    ratings[1] = [0.5, 1, 0, 1, 0.5, -0.5, 1, 1, 0, 0.5]
    e = corrected(np.zeros((2, 10)), ratings)
    common = ratings[1].var(ddof=1) / 2
    assert e.se[0] == pytest.approx(np.sqrt(PRIOR * common / (9 + PRIOR) / 10))
    alike = corrected(np.zeros((2, 10)), np.ones((2, 10)))
    assert alike.se == pytest.approx(np.sqrt(PRIOR * FLOOR / (9 + PRIOR) / 10))
    assert alike.differences()[1][0, 1] == pytest.approx(np.sqrt(2 * FLOOR / 10))


@pytest.mark.parametrize("bias", [0.0, -0.3])
def test_a_good_judge_sharpens_and_its_bias_cancels(bias):
    """Over draws: unbiased whatever the judge's bias, and the stated error is the real one."""
    rng, means, errors, plain = np.random.default_rng(5), [], [], []
    for _ in range(800):
        q = rng.normal(0.0, 0.3, (2, 100))
        y = np.clip(q + rng.normal(0, 0.2, q.shape), -1, 1)
        y[:, 40:] = NAN
        f = np.clip(q * 0.6 + rng.normal(0, 0.05, q.shape) + [[bias], [0]], -1, 1)
        e = corrected(f, y)
        means.append(e.mean[0])
        errors.append(e.se[0])
        plain.append(np.nanmean(y[0]))
    assert abs(np.mean(means)) < 4 * np.std(means) / np.sqrt(800)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.08)
    assert np.std(means) < 0.85 * np.std(plain)


def test_a_useless_or_contrary_judge_is_not_heeded():
    rng = np.random.default_rng(1)
    y = rng.choice([-0.5, 0, 0.5], (3, 200))
    assert corrected(rng.uniform(-1, 1, y.shape), y).weight < 0.05
    assert corrected(-y, y).weight == 0
    assert corrected(-y, y).rho == pytest.approx(-1)
    assert corrected(y, y).weight == pytest.approx(1)


def test_order_of_contexts_and_arms_does_not_matter():
    rng = np.random.default_rng(2)
    f, y = rng.uniform(-1, 1, (3, 50)), rng.choice([-0.5, 0, 0.5], (3, 50))
    y[0, :20] = NAN
    a, order, arms = corrected(f, y), rng.permutation(50), [2, 0, 1]
    b = corrected(f[arms][:, order], y[arms][:, order])
    assert b.mean == pytest.approx(a.mean[arms])
    assert b.covariance == pytest.approx(a.covariance[np.ix_(arms, arms)])


@pytest.mark.parametrize(
    ("scores", "ratings", "word"),
    [
        ([[0.0, 0.0], [0.0, 0.0]], [[0.5, 0.5], [0.5, NAN]], "at least 2 ratings"),
        ([[0.0, NAN], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]], "needs a score"),
        ([[0.0, 2.0], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]], r"\[-1, 1\]"),
        ([[0.0, np.inf], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]], r"\[-1, 1\]"),
        ([[0.0, 0.0]], [[0.5], [0.5]], r"\(1, 2\)"),
    ],
)
def test_bad_tables_are_refused(scores, ratings, word):
    with pytest.raises(ValueError, match=word):
        corrected(np.array(scores), np.array(ratings))

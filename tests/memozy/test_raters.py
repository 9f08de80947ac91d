"""Agreement and rater effects: against published figures, other libraries, dense matrices and known truths."""

import json
import os
import warnings
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from scipy.linalg import null_space
from scipy.stats import binomtest, norm, t

from memozy.raters import adjusted, agreement, alpha, alpha_interval, fit, random_raters

SHARED = Path(os.environ.get("MEMOZY_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
KLUE = SHARED / "klue_sts_raters.jsonl"
RATERS = ("ann", "bob", "cho", "dan", "eun")
NAN = np.nan
PUBLISHED = np.array([  # Krippendorff 2011, section C: 4 observers, 12 units
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
])  # fmt: skip


def long(table):
    """value, item, rater of a table of raters by items, NaN where not rated."""
    rater, item = np.nonzero(~np.isnan(table))
    return table[rater, item], item, rater


def panel(rng, n_items, each, bias=(-0.15, -0.07, 0, 0.07, 0.15), noise=0.3, at_random=(), rounded=True):
    """value, item, rater: `each` ratings of items of sd 0.4 by raters in turn by lot; some answer at random."""
    raters = len(bias)
    item = np.repeat(np.arange(n_items), each)
    rater = np.concatenate([rng.permutation(raters)[:each] for _ in range(n_items)])
    felt = rng.normal(0.1, 0.4, n_items)[item] + np.asarray(bias)[rater]
    felt = felt + rng.normal(size=len(item)) * np.broadcast_to(noise, raters)[rater]
    felt = np.where(np.isin(rater, at_random), rng.normal(0.1, 0.5, len(item)), felt)
    return (np.clip(np.round(felt * 2), -2, 2) / 2 if rounded else felt), item, rater


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level, published):
    assert alpha(*long(PUBLISHED), level) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_as_the_krippendorff_package(level, seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 6, 30)
    table = np.where(rng.random((5, 30)) < 0.6, truth, rng.choice([0, 1, 2, 3, 7, 20], (5, 30))).astype(float)
    table[rng.random(table.shape) < 0.5] = NAN
    assert alpha(*long(table), level) == pytest.approx(krippendorff.alpha(table, level_of_measurement=level), abs=1e-9)


def test_alpha_of_real_ratings():
    if not KLUE.is_file():
        pytest.skip("no rated sentence pairs here: set MEMOZY_SHARED_DATA")
    rows = [json.loads(line) for line in KLUE.read_text(encoding="utf-8").splitlines()]
    value, item, rater = ([r[field] for r in rows] for field in ("rating", "item_id", "rater_id"))
    table = np.full((len(set(rater)), len(set(item))), NAN)
    table[np.unique(rater, return_inverse=True)[1], np.unique(item, return_inverse=True)[1]] = value
    found = alpha(value, item, rater, "interval")
    assert found == pytest.approx(0.75, abs=0.005)
    low, high = alpha_interval(value, item, rater, "interval", repetitions=300)
    assert low < 0.75 < high and high - low < 0.07
    assert found == pytest.approx(krippendorff.alpha(table, level_of_measurement="interval"), abs=1e-9)


def test_alpha_is_none_where_it_has_no_meaning():
    assert alpha([1, 2, 3], [0, 1, 2], ["a", "b", "a"]) is None
    assert alpha_interval([1, 2, 3], [0, 1, 2], ["a", "b", "a"]) is None
    assert alpha([1, 1, 1, 1, 5], [0, 0, 1, 1, 2], ["a", "b", "a", "b", "a"]) is None
    assert alpha_interval([1, 2], [0, 0], ["a", "b"]) is None


def test_alpha_refuses_what_is_no_table_of_ratings():
    with pytest.raises(ValueError, match="rated an item twice"):
        alpha([1, 2, 3], [0, 0, 1], ["a", "a", "b"])
    with pytest.raises(ValueError, match="level must be"):
        alpha([1, 2], [0, 0], ["a", "b"], "ratio")
    with pytest.raises(ValueError, match="finite"):
        alpha([1, NAN], [0, 0], ["a", "b"])


@pytest.mark.parametrize(("n_items", "each"), [(20, 2), (40, 3)])
def test_alpha_interval_covers_with_few_items(n_items, each):
    rng = np.random.default_rng(4)
    true = alpha(*panel(rng, 40_000, each))
    ends = [alpha_interval(*panel(rng, n_items, each), repetitions=200, seed=k) for k in range(400)]
    hits = sum(low <= true <= high for low, high in ends)
    assert binomtest(hits, len(ends), 0.95, alternative="less").pvalue > 0.01, hits
    assert hits < len(ends)


def test_alpha_interval_repeats_itself_and_widens_with_confidence():
    data = panel(np.random.default_rng(0), 40, 2)
    low, high = alpha_interval(*data, seed=1)
    assert (low, high) == alpha_interval(*data, seed=1)
    wider = alpha_interval(*data, confidence=0.99, seed=1)
    assert wider[0] < low < alpha(*data) < high < wider[1]


def test_fit_as_statsmodels():
    """REML with many raters and items, where the prior has next to no say."""
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM

    rng = np.random.default_rng(3)
    value, item, rater = panel(rng, 40, 6, bias=rng.normal(0, 0.3, 12), rounded=False)
    arm = rng.integers(0, 2, len(value))
    value = value + 0.3 * arm
    frame = pd.DataFrame({"value": value, "item": item, "rater": rater, "arm": arm, "all": 0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = MixedLM.from_formula("value ~ C(arm)", frame, groups="all", re_formula="0",
                                      vc_formula={"item": "0 + C(item)", "rater": "0 + C(rater)"}).fit(reml=True)  # fmt: skip
    predicted = theirs.random_effects[0]
    bias = np.array([predicted[f"rater[C(rater)[{k}]]"] for k in range(12)])
    ours = fit(value, item, rater, arm)
    at = [int(name) for name in ours.raters]
    assert ours.bias == pytest.approx((bias - bias.mean())[at], abs=0.01)
    variances = dict(zip(theirs.model.exog_vc.names, theirs.vcomp, strict=True))
    assert ours.noise_sd == pytest.approx(np.sqrt(theirs.scale), rel=0.02)
    assert ours.item_sd == pytest.approx(np.sqrt(variances["item"]), rel=0.05)
    assert ours.rater_sd == pytest.approx(np.sqrt(variances["rater"]), rel=0.12)

    items, means = adjusted(value, item, rater, arm)
    assert items.tolist() == list(range(40))
    of_item = np.array([predicted[f"item[C(item)[{k}]]"] for k in range(40)])
    fixed = theirs.fe_params.iloc[0] + theirs.fe_params.iloc[1] * np.bincount(item, arm) / np.bincount(item)
    assert means == pytest.approx(of_item + fixed + bias.mean(), abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_fit_as_dense_matrices_on_a_fine_grid(seed):
    """The same posterior without sums over items, elimination or eigenbasis: error contrasts and [n, n] matrices."""
    rng = np.random.default_rng(seed)
    n = 24
    item, rater, arm = rng.integers(0, 9, n), rng.integers(0, 3, n), np.arange(n) % 4
    y = rng.normal(0, 0.4, 9)[item] + rng.normal(0, 0.3, 3)[rater] + rng.normal(0, 0.3, n) + 5 * arm
    Z, W, X = np.eye(9)[item], np.eye(3)[rater], np.eye(4)[arm]
    A = null_space(X.T)
    cells = []
    for s in (np.arange(50) + 0.5) / 50:
        for r in (np.arange(50) + 0.5) / 25:
            V = (1 - s) * np.eye(n) + s * Z @ Z.T + r**2 * W @ W.T
            inner = A.T @ V @ A
            P = A @ np.linalg.solve(inner, A.T)
            t2 = y @ P @ y / (n - 4)
            log = -(n - 4) / 2 * np.log(t2) - np.linalg.slogdet(inner)[1] / 2 - (r / 0.5) ** 2 / 2
            cells.append((log, r**2 * W.T @ P @ y, t2 * (r**2 * np.eye(3) - r**4 * W.T @ P @ W), r * np.sqrt(t2)))
    log, bias, known, rater_sd = map(np.array, zip(*cells, strict=True))
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    mean = weight @ bias
    covariance = np.tensordot(weight, known, 1) + (weight[:, None] * (bias - mean)).T @ (bias - mean)
    center = np.eye(3) - 1 / 3

    ours = fit(y, item, rater, arm)
    assert ours.bias == pytest.approx(center @ mean, abs=0.005)
    assert ours.covariance == pytest.approx(center @ covariance @ center, abs=0.03 * np.trace(covariance))
    assert ours.rater_sd == pytest.approx(weight @ rater_sd, rel=0.03)


@pytest.mark.parametrize(("n_items", "each", "bias"), [(150, 1, (-0.2, 0, 0.2)), (60, 2, (-0.1, 0.05, 0.05, 0, 0))])
def test_intervals_of_biases_cover(n_items, each, bias):
    rng = np.random.default_rng(1)
    true = np.array(bias) - np.mean(bias)
    hits, errors = 0, []
    for _ in range(200):
        found = fit(*panel(rng, n_items, each, bias))
        errors.append(found.bias - true)
        hits += np.sum(np.abs(errors[-1]) <= 1.96 * np.sqrt(np.diag(found.covariance)))
    assert binomtest(int(hits), 200 * len(bias), 0.94, alternative="less").pvalue > 0.01, hits
    assert hits < 200 * len(bias)
    mean = true + np.mean(errors, axis=0)  # shrunk, and the more so the fewer ratings; not beyond 0, not outward
    assert np.all(mean * true >= -(0.02**2)) and np.all(np.abs(mean) <= np.abs(true) + 0.02)


def test_noise_of_each_rater():
    true = np.array([0.2, 0.3, 0.3, 0.3, 0.6])
    found = fit(*panel(np.random.default_rng(0), 600, 3, noise=true, rounded=False))
    assert found.noise == pytest.approx(true, rel=0.15)
    assert found.n.sum() == 1800


def test_raters_keep_their_names_and_places():
    value, item, rater = panel(np.random.default_rng(0), 100, 5, bias=(0.5, 0, 0, 0, -0.5))
    found = fit(value, item, np.array(RATERS)[rater])
    assert found.raters == RATERS
    assert found.bias[0] > 0.4 and found.bias[4] < -0.4
    assert found.bias.sum() == pytest.approx(0, abs=1e-12)
    tens = fit(value, item, np.array([2, 10, 7, 8, 9])[rater])
    assert tens.raters == ("10", "2", "7", "8", "9")
    assert tens.bias[1] == pytest.approx(found.bias[0])


def test_a_single_rater_has_no_bias():
    found = fit([1, 0.5, 0, 1], ["p", "q", "r", "s"], ["ann"] * 4, ["A", "A", "B", "B"])
    assert found.bias.tolist() == [0] and found.covariance.tolist() == [[0]]


def test_without_double_ratings_biases_are_those_within_groups():
    """Two raters take turns within an arm: their means differ by 0.5, of which few ratings give less, many nearly all."""
    few, many = ([0.5, 0, 1, 0.5] * k for k in (2, 60))
    for value, least, most in ((few, 0.2, 0.45), (many, 0.48, 0.5)):
        found = fit(value, range(len(value)), ["bob", "ann"] * (len(value) // 2), ["A"] * len(value))
        assert least < found.bias[1] - found.bias[0] < most
        assert found.item_sd == pytest.approx(found.noise_sd, rel=0.01)


def test_a_rater_alone_in_a_group_keeps_the_whole_doubt():
    rng = np.random.default_rng(0)
    value, item, rater = panel(rng, 100, 2, bias=(-0.2, 0, 0.2), rounded=False)
    alone = rng.normal(5, 0.5, 80)  # 5 above the others, in an arm of his own: is it the arm or he?
    found = fit(np.r_[value, alone], np.r_[item, 100 + np.arange(80)], np.r_[rater, np.full(80, 3)],
                np.r_[np.zeros(200, int), np.ones(80, int)])  # fmt: skip
    se = np.sqrt(np.diag(found.covariance))
    assert abs(found.bias[3]) < 0.02
    assert se[3] > 2 * se[:3].max()
    assert found.bias[2] - found.bias[0] == pytest.approx(0.4, abs=0.1)


def test_equal_ratings_show_no_effect_of_anyone():
    found = fit([0.5] * 6, [0, 0, 1, 1, 2, 2], ["a", "b"] * 3)
    assert found.bias == pytest.approx([0, 0]) and found.noise == pytest.approx([0, 0])
    assert found.covariance == pytest.approx(np.zeros((2, 2)))
    assert adjusted([0.5] * 6, [0, 0, 1, 1, 2, 2], ["a", "b"] * 3)[1] == pytest.approx([0.5] * 3)


def test_ratings_without_noise_are_taken_apart_exactly():
    item, rater = np.repeat(np.arange(40), 3), np.tile([0, 1, 2], 40)
    quality = np.linspace(-1, 1, 40)
    found = fit(quality[item] + np.array([-0.3, 0, 0.3])[rater], item, rater)
    assert found.bias == pytest.approx([-0.3, 0, 0.3], abs=1e-3)
    _, means = adjusted(quality[item] + np.array([-0.3, 0, 0.3])[rater], item, rater)
    assert means == pytest.approx(quality, abs=5e-3)


def test_shifted_and_stretched_ratings_shift_and_stretch_the_answer():
    value, item, rater = panel(np.random.default_rng(2), 50, 2)
    one, other = fit(value, item, rater), fit(1e6 + 10 * value, item, rater)
    assert other.bias == pytest.approx(10 * one.bias, rel=1e-6)
    assert other.covariance == pytest.approx(100 * one.covariance, rel=1e-6)
    assert other.noise == pytest.approx(10 * one.noise, rel=1e-6)


def test_adjusted_means_are_nearer_to_the_truth_than_the_best_line_through_plain_ones():
    rng = np.random.default_rng(0)
    bias = np.array([-0.3, -0.1, 0, 0.1, 0.3])
    ours, plain = 0, 0
    for _ in range(20):
        value, item, rater = panel(rng, 100, 2, bias, noise=0, rounded=False)
        truth = np.bincount(item, value - bias[rater]) / 2
        value = value + rng.normal(0, 0.3, 200)
        means = np.bincount(item, value) / 2
        ours += ((adjusted(value, item, rater)[1] - truth) ** 2).sum()
        plain += ((np.polyval(np.polyfit(means, truth, 1), means) - truth) ** 2).sum()  # a line nobody knows
    assert ours < 0.9 * plain


@pytest.mark.parametrize(
    ("value", "item", "rater", "group", "match"),
    [
        ([], [], [], None, "finite numbers"),
        ([1, np.inf], [0, 0], ["a", "b"], None, "finite numbers"),
        ([[1, 2]], [0], ["a"], None, "finite numbers"),
        ([1, 2], [0], ["a", "b"], None, "as many labels"),
        ([1, 2], [0, 1], ["a", "b"], ["A", "B"], "no group has two"),
    ],
)
def test_fit_refuses(value, item, rater, group, match):
    with pytest.raises(ValueError, match=match):
        fit(value, item, rater, group)


@pytest.mark.parametrize(("n_items", "each"), [(40, 5), (70, 3)])
def test_one_of_five_who_answers_at_random_is_named(n_items, each):
    rng = np.random.default_rng(5)
    named = [random_raters(*panel(rng, n_items, each, at_random=(3,))) for _ in range(60)]
    assert sum("3" in names for names in named) >= 0.75 * len(named)
    assert sum(names not in [("3",), ()] for names in named) <= 0.05 * len(named)


def test_a_rater_is_left_out_as_if_his_ratings_were_not_there():
    """The sums that are taken back, against correlations of what is left, each computed anew."""

    def fisher(y, i, r, k):
        size, total = np.bincount(i), np.bincount(i, y)
        own = (r == k) & (size[i] > 1)
        mine, theirs = y[own], (total[i[own]] - y[own]) / (size[i[own]] - 1)
        varies = len(mine) > 3 and np.ptp(mine) > 0 and np.ptp(theirs) > 0
        return np.arctanh(np.corrcoef(mine, theirs)[0, 1]) if varies else 0.0, max(own.sum() - 3, 0)

    value, item, rater = panel(np.random.default_rng(8), 60, 3)
    value = np.where(rater == 4, 0.5, value)  # one who always says the same
    kept = np.random.default_rng(9).random(len(value)) < 0.8
    y, i, r = value[kept], item[kept], rater[kept]
    at_zero, as_others = agreement._agreement(y, i, r, 5)
    for k in range(5):
        z, known = fisher(y, i, r, k)
        left = r != k
        theirs, weight = np.array([fisher(y[left], i[left], r[left], j) for j in range(5)]).T
        shared = (np.bincount(i[left]) > 1).sum()
        less = (theirs @ weight / weight.sum() - z) / np.sqrt(1 / known + 1 / (shared - 3))
        assert at_zero[k] == pytest.approx(norm.cdf(-z * np.sqrt(known)))
        assert as_others[k] == pytest.approx(t.cdf(-less, known))


@pytest.mark.parametrize(("n_items", "each"), [(40, 2), (8, 5), (40, 4)])
def test_nobody_is_named_where_all_read(n_items, each):
    rng = np.random.default_rng(6)
    named = [random_raters(*panel(rng, n_items, each)) for _ in range(200)]
    assert binomtest(sum(map(bool, named)), len(named), 0.05, alternative="greater").pvalue > 0.01


def test_who_answers_against_the_others_or_always_the_same_is_named_and_of_two_nobody():
    value, item, rater = panel(np.random.default_rng(7), 60, 5)
    names = np.array(RATERS)[rater]
    assert random_raters(np.where(rater == 1, -value, value), item, names) == ("bob",)
    assert random_raters(np.where(rater == 2, 0.5, value), item, names) == ("cho",)
    two = rater < 2
    assert random_raters(np.where(rater == 1, -value, value)[two], item[two], names[two]) == ()
    assert random_raters([1, 0, 1], [0, 0, 1], ["a", "b", "b"]) == ()

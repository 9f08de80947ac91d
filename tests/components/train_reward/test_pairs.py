"""Bradley-Terry: the pairs that ratings make, a fit against an independent one, and its way back to ratings."""

import time
from itertools import combinations

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize

from components.train_reward.pairs import as_linear, fit_bradley_terry, log_loss, wins
from memozy.preferences import pairs_from_ratings


def test_every_pair_of_a_small_group_whose_ratings_differ():
    ratings = np.array([1.0, 0.5, 0.5, -1.0, 0.0, 1.0])
    groups = np.array(["a", "a", "a", "b", "b", "b"])
    found = pairs_from_ratings(ratings, groups)
    assert sorted(map(tuple, found.tolist())) == [(0, 1), (0, 2), (4, 3), (5, 3), (5, 4)]


@pytest.mark.parametrize("n", range(2, 10))
def test_up_to_nine_texts_all_meet_once(n):
    found = pairs_from_ratings(np.arange(n), np.zeros(n))
    assert sorted(map(tuple, found.tolist())) == sorted((b, a) for a, b in combinations(range(n), 2))


def test_in_a_large_group_each_text_meets_eight_others():
    ratings = np.random.default_rng(0).permutation(100)
    found = pairs_from_ratings(ratings, np.zeros(100), seed=3)
    assert len(found) == len({frozenset(pair) for pair in found.tolist()}) == 400
    assert (np.bincount(found.ravel()) == 8).all()
    assert not np.array_equal(found, pairs_from_ratings(ratings, np.zeros(100), seed=4))


def test_texts_alone_in_their_groups_meet_each_other_and_nobody_else():
    ratings = np.array([0.5, -0.5, 1.0, 0.0, -1.0])
    found = pairs_from_ratings(ratings, np.array(["a", "b", "pair", "pair", "c"]))
    assert sorted(map(tuple, found.tolist())) == [(0, 1), (0, 4), (1, 4), (2, 3)]


def test_nothing_to_tell_apart_gives_no_pairs_and_the_mean():
    ratings, x = np.array([0.5, 0.5]), np.eye(2)
    found = pairs_from_ratings(ratings, np.array(["a", "a"]))
    assert found.shape == (0, 2)
    coef = fit_bradley_terry(x[found[:, 0]] - x[found[:, 1]])
    assert as_linear(coef, x, ratings).predict(x).tolist() == [0.5, 0.5]


def test_two_answers_by_hand():
    # a is preferred 3 times of 4 and nothing pulls to 0: P = 3/4, so the utilities differ by log 3
    coef = fit_bradley_terry(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([3.0, 1.0]), alpha=1e-6)
    assert coef[0] - coef[1] == pytest.approx(np.log(3), abs=1e-3)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_the_fit_minimises_the_stated_loss(form):
    rng = np.random.default_rng(0)
    d, w = rng.normal(size=(60, 5)) + 0.3, rng.uniform(0, 2, 60)

    def loss(coef):
        return (w * np.log1p(np.exp(-d @ coef))).sum() + 2.0 / 2 * coef @ coef

    expected = minimize(loss, np.zeros(5), tol=1e-12).x
    assert fit_bradley_terry(form(d), w, alpha=2.0) == pytest.approx(expected, abs=2e-3)


def test_utilities_are_found_again():
    rng = np.random.default_rng(1)
    x, truth = rng.normal(size=(400, 6)), np.array([2.0, -1.0, 0.5, 0.0, 0.0, 1.0])
    left, right = rng.integers(400, size=(2, 3000))
    first = rng.random(3000) < 1 / (1 + np.exp(-(x[left] - x[right]) @ truth))
    chosen, rejected = np.where(first, left, right), np.where(first, right, left)
    assert fit_bradley_terry(x[chosen] - x[rejected], alpha=1e-3) == pytest.approx(truth, abs=0.2)


def test_what_a_group_shares_cannot_be_learned():
    rng = np.random.default_rng(2)
    groups, quality = np.repeat(np.arange(30), 4), rng.normal(size=120)
    mood = rng.normal(size=30)[groups]  # of the photo: raises its ratings, tells no two of its texts apart
    found = pairs_from_ratings(quality + 5 * mood, groups)
    x = np.stack([quality, mood], axis=1)
    coef = fit_bradley_terry(x[found[:, 0]] - x[found[:, 1]], alpha=0.1)
    assert coef[0] > 1 and coef[1] == 0


def test_the_rating_scale_by_hand():
    x = np.array([[0.0], [1.0], [2.0], [9.0]])
    linear = as_linear(np.array([2.0]), x, np.array([-0.5, 0.0, 0.5, 1.0]), np.array([1, 1, 1, 0]))
    assert linear.predict([[0.0], [3.0]]) == pytest.approx([-0.5, 1.0])
    against = as_linear(np.array([-2.0]), x, np.array([-0.5, 0.0, 0.5, 0.0]))
    assert against.predict(x) == pytest.approx([0.0] * 4), "preferences that ratings contradict predict the mean"


def test_the_linear_model_reads_sparse_rows_and_survives_skops():
    from skops.io import dumps, loads

    rng = np.random.default_rng(3)
    x, coef = rng.normal(size=(20, 4)), rng.normal(size=4)
    ratings = 0.3 * x @ coef + rng.normal(size=20)
    linear = as_linear(coef, x, ratings)
    expected = np.polyval(np.polyfit(x @ coef, ratings, 1), x @ coef)
    assert np.polyfit(x @ coef, ratings, 1)[0] > 0
    for again in (linear, loads(dumps(linear))):
        assert again.predict(sparse.csr_array(x)) == pytest.approx(expected)


def test_wins_and_log_loss_by_hand():
    assert wins([2, 0, 1], [1, 5, 1]).tolist() == [1.0, 0.0, 0.5]
    assert log_loss([np.log(3), 0.0], [0.0, 0.0]) == pytest.approx([-np.log(0.75), np.log(2)])


def test_a_fit_takes_a_fraction_of_a_second():
    rng = np.random.default_rng(4)
    x = sparse.random_array((320, 3000), density=0.05, rng=rng, format="csr")
    chosen, rejected = rng.integers(320, size=(2, 800))
    d = x[chosen] - x[rejected]
    fit_bradley_terry(d[:10])  # imports
    began = time.process_time()
    fit_bradley_terry(d)
    assert time.process_time() - began < 0.5

"""Cross-validation without leaks, and a rule whose verdict can be worked out by hand."""

import random
from dataclasses import replace

import numpy as np
import pytest

from components.train_reward.comparison import Rows, choose, clustered_se, folds, measure, out_of_fold, table
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions
from microworld.raters import PANEL
from microworld.writer import write_diary


def rated(n_groups: int, per_group: int, seed: int) -> Rows:
    rng = random.Random(seed)
    texts, ratings, groups = [], [], []
    for context in sample_contexts(n_groups, seed):
        for i in range(per_group):
            texts.append(write_diary(sample_instructions(rng, 0.5, 0.25), context, rng))
            ratings.append(rng.choice(PANEL).rate(texts[-1], context, str(i)))
            groups.append(context["context_id"])
    return Rows(texts, np.array(ratings), np.ones(len(texts), int), np.array(groups))


def test_no_group_crosses_folds_and_every_row_is_held_out_once_a_repeat():
    groups = np.array([f"g{i}" for i in random.Random(0).choices(range(17), k=100)])
    held = np.zeros((3, 100), int)
    for repeat, train, held_out in folds(groups, 5, 3, seed=7):
        assert not set(groups[train]) & set(groups[held_out])
        assert sorted([*train, *held_out]) == list(range(100))
        held[repeat, held_out] += 1
    assert (held == 1).all()
    parts = [{frozenset(h) for r, _, h in folds(groups, 5, 3, seed=7) if r == repeat} for repeat in range(3)]
    assert parts[0] != parts[1], "repeats fold differently"


def test_the_constant_by_hand():
    texts = ["오늘 바다에 다녀왔다.", "오늘 바다에 갔다.", "오늘 산에 다녀왔다.", "오늘 산에 갔다."]
    rows = Rows(texts, np.array([1.0, 0.0, -1.0, -1.0]), np.array([1, 9, 1, 1]), np.array(["a", "a", "b", "b"]))
    said = out_of_fold(rows, 2, 1, seed=0)["constant"]
    # a is told the mean of b, -1; b the mean of a, 0.5: copies do not count
    assert said.tolist() == [[-1.0, -1.0, 0.5, 0.5]]
    measured = measure(said[0], rows.ratings, said[0])
    assert measured["mse"] == measured["constant_mse"] == pytest.approx((4 + 1 + 2.25 + 2.25) / 4)
    assert measured["constant_mae"] == pytest.approx((2 + 1 + 1.5 + 1.5) / 4)
    assert (measured["r2"], measured["spearman"], measured["rho2"]) == (0.0, 0.0, 0.0)


def test_measures_by_hand():
    measured = measure(np.array([0.5, 0.0, -0.5]), np.array([1.0, 0.0, -0.5]), np.zeros(3))
    assert measured["mse"] == pytest.approx(0.25 / 3)
    assert measured["mae"] == pytest.approx(0.5 / 3)
    assert measured["constant_mse"] == pytest.approx(1.25 / 3)
    assert measured["r2"] == pytest.approx(1 - 0.25 / 1.25)
    assert measured["spearman"] == pytest.approx(1.0)
    # centred: (0.5, 0, -0.5) and (5, -1, -4)/6; product 0.75, squares 0.5 and 42/36
    assert measured["rho2"] == pytest.approx(0.75**2 / (0.5 * 42 / 36))
    assert measured["n"] == 3


def test_clustered_standard_error_by_hand():
    values = np.array([1.0, 3.0, 5.0, 7.0])
    # each row its own group: the usual s / sqrt(n), s² = 20/3
    assert clustered_se(values, np.arange(4)) == pytest.approx((20 / 3 / 4) ** 0.5)
    # two groups: sums of deviations -4 and 4; sqrt(2/1 · 32) / 4 = 2
    assert clustered_se(values, np.array(["a", "a", "b", "b"])) == pytest.approx(2.0)


def test_the_rule_prefers_the_simpler_within_one_standard_error():
    ratings, groups = np.zeros(4), np.arange(4)

    def verdict(simple):
        errors = {"simple": simple, "best": [0.1, 0.1, 0.1, 0.1]}
        return choose({n: np.sqrt([e]) for n, e in errors.items()}, ratings, groups)

    # excess (0, 0, 0, 0.4): mean 0.1, s = 0.2, one standard error 0.1: just within
    assert verdict([0.1, 0.1, 0.1, 0.49]) == "simple"
    # excess 0.1 in every row: no doubt about it
    assert verdict([0.2, 0.2, 0.2, 0.21]) == "best"


def test_copies_count_in_the_fitted_part_only():
    rows = rated(12, 3, seed=2)
    mine = rows.groups == rows.groups[0]
    plain = out_of_fold(rows, 3, 1, seed=0)
    loud = out_of_fold(replace(rows, copies=np.where(mine, 9, 1)), 3, 1, seed=0)
    for name in ("ridge", "kernel", "trees", "ensemble"):
        assert np.array_equal(plain[name][0, mine], loud[name][0, mine]), "one's own copies change nothing"
        assert not np.array_equal(plain[name][0, ~mine], loud[name][0, ~mine]), "they weigh on the others"


def test_shuffled_ratings_cannot_be_predicted():
    rows = rated(50, 3, seed=3)
    best = {}
    for kind, ratings in (("true", rows.ratings), ("shuffled", np.random.default_rng(0).permutation(rows.ratings))):
        said = out_of_fold(replace(rows, ratings=ratings), 5, 1, seed=0)
        best[kind] = max(row["r2"] for row in table(said, ratings))
        if kind == "shuffled":
            assert choose(said, ratings, rows.groups) == "constant"
    assert best["true"] > 0.4
    assert best["shuffled"] < 0.05

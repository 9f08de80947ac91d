"""The confidence that is claimed, held against simulated evaluations; full size in benchmarks/adoption_error.py."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import adoption_error as world
from benchmarks.adoption_error import DEMO, EDGE, Setting, is_error, simulate

HARD = [
    EDGE,
    replace(EDGE, name="judge against the best, rater by diary", bias=(0, -0.1, 0.1, 0.1), raters="cell"),
    replace(EDGE, name="few ratings, incumbent at the margin", truth=(0.4, 0.5, 0.4, 0.4), n_contexts=60, per_look=40),
    Setting("incumbent among ties", (0.4, 0.4, 0.4, 0.4)),
]


@pytest.mark.parametrize("setting", HARD, ids=lambda s: s.name)
def test_claims_are_false_no_oftener_than_stated(setting):
    rates = simulate(setting, 300, seed=11)
    assert rates["p_value"] >= 0.01, rates
    assert rates["coverage"] >= 0.94, rates


def test_the_same_test_refutes_unadjusted_peeking():
    peeking = replace(EDGE, truth=(0.4, 0.4, 0.4, 0.4), rule="peeking", n_looks=20, per_look=20)
    assert simulate(peeking, 200, seed=11)["p_value"] < 0.01


def test_a_challenger_that_is_better_gets_adopted():
    rates = simulate(DEMO, 200, seed=11)
    assert rates["adopt_best"] >= 0.9, rates
    assert rates["ratings"] < 400


def test_errors_are_counted_as_defined():
    truth = (0.3, 0.5, 0.45, 0.35)
    claims = [("adopt", 1), ("adopt", 2), ("adopt", 3), ("keep", 0), ("undecided", 3)]
    assert [is_error(*c, truth, 0.1) for c in claims] == [False, False, True, True, False]
    assert is_error("adopt", 1, (0.5, 0.5), 0.1)
    assert not is_error("keep", 0, (0.5, 0.5), 0.1)


@pytest.mark.parametrize("mean", [-0.2, 0.5, 0.85])
def test_simulated_ratings_have_the_stated_mean(mean):
    rng, n = np.random.default_rng(0), 200_000
    quality = rng.normal(world.quality_mean(mean), world.DIARY_SD, n)
    levels = world.to_level(quality + rng.choice(world.RATERS, n) + rng.normal(0, world.RATER_SD, n))
    assert levels.mean() == pytest.approx(mean, abs=0.01)

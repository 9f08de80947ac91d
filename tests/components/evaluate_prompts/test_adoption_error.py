"""The confidence that is claimed, held against simulated evaluations; full size in benchmarks/adoption_error.py."""

from dataclasses import replace

import pytest

from benchmarks.adoption_error import BROKEN, EDGE, TIES, VERIFIER
from components.evaluate_prompts.simulation import simulate

HARD = [
    replace(EDGE, name="Thompson pulls; some unread, some unanswered", sampler="thompson", pulls_per_look=64, per_look=48,
            unread=0.1, unanswered=0.2),
    replace(TIES, name="judge against the incumbent, rater by diary", bias=(-0.1, 0.1, 0.1, 0.1), raters="cell"),
    replace(TIES, name="few ratings, incumbent at the margin", truth=(0.4, 0.5, 0.4, 0.4), n_contexts=60, per_look=40),
    replace(EDGE, name="each arm its rater, double-rated", raters="own", double_rated=0.15),
    replace(TIES, name="app feedback", scorer="feedback", per_look=300),
    replace(VERIFIER, name="verifier, ties", truth=TIES.truth, per_look=96),
]  # fmt: skip


@pytest.mark.parametrize("setting", HARD, ids=lambda s: s.name)
def test_claims_are_false_no_oftener_than_stated(setting):
    rates = simulate(setting, 120, seed=11)
    assert rates["p_value"] >= 0.01, rates
    assert rates["covered"] >= 0.94, rates
    assert rates["covered_fixed"] >= 0.93, rates  # 480 intervals: 0.95 give or take 0.01


def test_the_same_test_refutes_unadjusted_peeking():
    assert simulate(BROKEN[-1], 40, seed=11)["p_value"] < 0.01

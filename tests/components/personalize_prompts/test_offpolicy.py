"""The value of switching, from a log."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.off_policy import World, coverage, simulate
from components.personalize_prompts.offpolicy import crossfit, estimates, evaluable, since_all, support
from components.personalize_prompts.segments import Log


def log_of(arm, propensity, value, arms=("A", "B")):
    n = len(arm)
    return Log(("all",), arms, np.zeros(n, int), np.array(arm), np.array(propensity), np.zeros(n, bool),
               np.array(value, float), np.arange(n) % 5)  # fmt: skip


BY_HAND = log_of([0, 1, 0, 1], [0.5, 0.25, 0.5, 0.25], [1, 0, -1, 1])
POLICY, MODEL = np.tile([0.8, 0.2], (4, 1)), np.tile([0.5, 0.0], (4, 1))


def test_values_by_hand():
    found = estimates(BY_HAND, POLICY, MODEL, 0.95)
    # weights 1.6, 0.8, 1.6, 0.8; IPS (1.6 + 0 - 1.6 + 0.8) / 4; SNIPS 0.8 / 4.8
    # DR: 0.8 · 0.5 + (1.6 · 0.5 + 0.8 · 0 - 1.6 · 1.5 + 0.8 · 1) / 4 = 0.4 - 0.2
    assert found["ips"].value == pytest.approx(0.2)
    assert found["snips"].value == pytest.approx(1 / 6)
    assert found["dr"].value == pytest.approx(0.2)
    assert found["ips"].gain == pytest.approx(0.2 - 0.25)
    # effective: 4.8² / (2 · 2.56 + 2 · 0.64) = 3.6, t(2.6) = 3.49 to 2.5 %; IPS's variance (1.96 + 0.04 + 3.24 + 0.36) / 3 / 4
    from scipy.stats import t

    assert found["ips"].high - 0.2 == pytest.approx(t.ppf(0.975, 2.6) * np.sqrt(5.6 / 12))
    # SNIPS's influences, w (r - 1/6) / 1.2: 10/9, -1/9, -14/9, 5/9
    assert found["snips"].high - 1 / 6 == pytest.approx(t.ppf(0.975, 2.6) * np.sqrt(322 / 81 / 12))


def test_a_prompt_no_longer_compared_counts_as_shown_but_never_as_wanted():
    found = estimates(replace(BY_HAND, arm=np.array([0, 1, 0, 2])), POLICY, MODEL, 0.95)
    assert found["ips"].value == pytest.approx(0)  # (1.6 + 0 - 1.6 + 0) / 4
    assert found["ips"].gain == pytest.approx(-0.25)  # the logged policy's value is of all four
    assert found["dr"].value == pytest.approx(0.4 + (0.8 - 2.4) / 4)


def test_the_gain_over_another_policy_is_paired():
    found = estimates(BY_HAND, POLICY, MODEL, 0.95, over=POLICY)
    for e in found.values():
        assert e.gain == e.gain_low == e.gain_high == 0


def test_intervals_are_those_of_obp_where_it_has_them():
    from obp.ope import DoublyRobust, InverseProbabilityWeighting

    log = simulate(World("", n=3000), np.random.default_rng(0))
    policy, model = np.tile([0.1, 0.6, 0.2, 0.1], (3000, 1)), np.tile([0.0, 0.2, 0.1, 0.1], (3000, 1))
    known = dict(reward=log.value, action=log.arm, pscore=log.propensity, action_dist=policy[:, :, None],
                 n_bootstrap_samples=2000, random_state=0)  # fmt: skip
    found = estimates(log, policy, model, 0.95)
    theirs = {"ips": InverseProbabilityWeighting().estimate_interval(**known),
              "dr": DoublyRobust().estimate_interval(**known, estimated_rewards_by_reg_model=model[:, :, None])}  # fmt: skip
    for name, bootstrap in theirs.items():
        ours, width = found[name], found[name].high - found[name].low
        assert ours.low == pytest.approx(bootstrap["95.0% CI (lower)"], abs=0.06 * width)
        assert ours.high == pytest.approx(bootstrap["95.0% CI (upper)"], abs=0.06 * width)


def test_a_known_value_is_recovered_by_all_three():
    found = coverage(World("", n=600), 80)
    for name in ("ips", "snips", "dr"):
        assert abs(found[f"{name} error"]) < 0.02  # the standard error of 80 is about 0.006
        assert found[f"{name} value"] > 0.88 and found[f"{name} gain"] > 0.88  # 3 standard errors below 0.95


def test_nothing_is_judged_by_what_it_chose():
    log = log_of([0, 1] * 10, [0.5] * 20, [1] * 20)

    def choose(rows):
        left_out = np.unique(log.fold[~rows])
        assert len(left_out) == 1 and rows.sum() == 16
        return {"p": np.full((1, 2), left_out[0])}, np.full((1, 2), 10 + left_out[0])

    policies, model = crossfit(log, choose)
    assert (policies["p"] == log.fold[:, None]).all() and (model == 10 + log.fold[:, None]).all()


def test_a_log_that_tells_too_little_says_so():
    log = log_of([0] * 990 + [1] * 10, [0.99] * 990 + [0.01] * 10, [0] * 1000)
    to_b = support(log, np.tile([0.05, 0.95], (1000, 1)))
    # weights 0.05 / 0.99 of 990 and 95 of 10: (50 + 950)² / (2.525 + 90 250) = 11.08
    assert (
        to_b.effective == pytest.approx(11.08, abs=0.01) and to_b.largest == 95 and to_b.share == pytest.approx(0.095)
    )
    assert [w.split(":")[0] for w in to_b.warnings] == [
        "1000 showings weigh only as much as 11 would if this policy had made them",
        "One showing alone has 10% of the weight",
    ]
    assert support(log, np.tile([0.95, 0.05], (1000, 1))).warnings == ()


def test_what_was_never_shown_is_told():
    log = log_of([0] * 500, [1.0] * 500, [0] * 500)
    found = support(log, np.tile([0.9, 0.1], (500, 1)))
    assert found.unseen == pytest.approx(0.1)
    assert len(found.warnings) == 1 and "10.0% of what this policy would show was never shown" in found.warnings[0]


def test_propensities_that_cannot_be_are_told():
    rng = np.random.default_rng(0)
    arm = rng.integers(2, size=2000)
    policy = np.tile([0.8, 0.2], (2000, 1))
    assert support(log_of(arm, np.full(2000, 0.5), np.zeros(2000)), policy).warnings == ()
    wrong = support(log_of(arm, np.where(arm == 0, 0.9, 0.1), np.zeros(2000)), policy).warnings
    assert len(wrong) == 1 and "should average 1.000" in wrong[0]


def two_allocations(n, rng, first=(0, 2)):
    """A log of two allocations, each of two prompts, 50:50, all propensities right: `first`, then A and B; who is shown B likes it."""
    arm = np.r_[rng.choice(first, n), rng.choice((0, 1), n)]
    return log_of(arm, np.full(2 * n, 0.5), arm == 1, arms=("A", "B"))


def test_a_log_of_two_allocations_is_evaluated_on_the_second():
    assert since_all(log_of([0, 2, 0, 1, 0, 2, 1], [0.5] * 7, [0] * 7)).tolist() == [False] * 4 + [True] * 3
    assert since_all(log_of([2, 0, 0], [0.5] * 3, [0] * 3)).tolist() == [False, False, True]
    rng, whole, since = np.random.default_rng(0), [], []
    for _ in range(200):
        log = two_allocations(100, rng)
        recent = log.only(since_all(log))
        whole.append(_ips(log))
        since.append(_ips(recent))
    # B is worth 1, A 0, and 0.8 of the policy is B; in the first allocation B had no chance at all
    assert np.mean(whole) == pytest.approx(0.4, abs=0.02) and np.mean(since) == pytest.approx(0.8, abs=0.02)


def _ips(log):
    return estimates(log, np.tile([0.2, 0.8], (len(log), 1)), np.zeros((len(log), 2)), 0.95)["ips"].value


def test_prompts_that_changed_are_named_beside_wrong_propensities():
    log = two_allocations(500, np.random.default_rng(0))
    policy = np.tile([0.2, 0.8], (1000, 1))
    [warning] = support(log, policy).warnings
    assert "the logged propensities are not" in warning and "showings since the last adoption" in warning
    recent = log.only(since_all(log))
    assert support(recent, policy[: len(recent)]).warnings == ()


def test_too_few_showings_are_not_evaluated():
    assert not evaluable(log_of([0] * 24, [1.0] * 24, [1] * 24))
    assert evaluable(log_of([0] * 25, [1.0] * 25, [0] * 24 + [1]))
    assert not evaluable(log_of([0] * 25, [1.0] * 25, [0] * 25))  # nobody reacted: an interval would have no width
    assert not evaluable(log_of([2] * 100, [1.0] * 100, [1] * 100))

"""When training stops and what is kept, on curves made by hand."""

import math

import numpy as np
import pytest

from components.train_ppo.guards import GOLD, SCORE, falling, hacking, kept, smooth, too_far, verdict


def curves(gold=None, proxy=None, kl=None, score=None):
    n = len(gold or score)
    columns = {"gold": gold, "proxy": proxy or [0.0] * n, "kl": kl or [0.0] * n, "score": score or [0.0] * n}
    return [{f"objective/{k}": float(v[u]) for k, v in columns.items() if v is not None} for u in range(n)]


def test_smoothing_takes_the_neighbours():
    assert smooth([0.0, 3.0, 6.0, 0.0]) == [1.5, 3.0, 3.0, 3.0]
    assert smooth([4.0]) == [4.0]


def test_the_best_by_gold_within_the_kl_target_is_kept():
    # smoothed: 0.05, 0.2, 0.4, 0.6, 0.65; KL of the last two is beyond 8
    gold, kl = [0.0, 0.1, 0.5, 0.6, 0.7], [0.0, 1.0, 6.0, 9.0, 12.0]
    assert kept(curves(gold, kl=kl), 8.0, final=True, by=GOLD) == 2
    assert kept(curves(gold, kl=kl), 1e9, final=True, by=GOLD) == 4
    assert kept(curves(gold, kl=kl), 1e9, final=False, by=GOLD) == 3, "row 4 may yet turn out to be lower"
    assert kept(curves([0.5, 0.9], kl=[9.0, 9.0]), 8.0, final=True, by=GOLD) == 0
    assert kept(curves([0.5]), 8.0, final=False, by=GOLD) == 0


def test_without_gold_the_best_score_is_kept_and_with_it_not():
    score = [0.0, 0.1, 0.9, 0.9]
    assert kept(curves(score=score), 8.0, final=True, by=SCORE) == 3
    assert kept(curves([0.5, 0.6, 0.1, 0.0], score=score), 8.0, final=True, by=GOLD) == 0  # smoothed 0.55, 0.4, 0.23, 0.05


def test_one_order_in_n_factorial_falls_all_the_way():
    assert falling([5, 4, 3, 2, 1, 0]) == pytest.approx(1 / math.factorial(6))
    # of four values: 4321 has no rise, and three orders have one: 4 of 24
    assert falling([4, 3, 1, 2]) == pytest.approx(4 / 24)
    assert falling([0, 1, 2, 3]) == pytest.approx(1.0)
    assert falling([]) == falling([1.0]) == falling([1.0, 1.0]) == 1.0


RISES = [0.1 * u for u in range(9)]
FALLS = [0.1, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.0, -0.05]  # best at 1, and seven more, every one lower: 1 / 5040


def test_it_is_hacking_where_proxy_rises_and_gold_falls_steadily():
    rows = curves(FALLS, RISES)
    assert hacking(rows, updates=20, false_alarm=0.05)
    assert hacking(rows[:8], updates=20, false_alarm=0.05), "six in order, 1 / 720, are below 0.05 / 20"
    assert not hacking(rows[:7], updates=20, false_alarm=0.05), "five, 1 / 120, are not"
    assert not hacking(curves(FALLS, RISES[::-1]), 20, 0.05), "both fall: bad, but no hacking"
    assert not hacking(curves(RISES, RISES), 20, 0.05)
    assert not hacking(curves(score=RISES), 20, 0.05), "nobody looked"


def test_noise_alone_seldom_stops_a_run():
    rng = np.random.default_rng(0)
    stopped = 0
    for _ in range(60):
        rows = curves(rng.normal(0, 0.05, 20).tolist(), list(range(20)))
        stopped += any(hacking(rows[:u], 20, 0.05) for u in range(8, 21))
    assert stopped <= 6  # 5 % of 60 are 3; more than 6 of them has a probability of 0.03


def test_kl_beyond_the_limit_stops():
    rows = curves(RISES, kl=[*range(8), 41])
    assert too_far(rows, 40.0) and not too_far(rows, 41.0)


def said(rows, keep, updates=20, kl_limit=40.0):
    return verdict(rows, keep, updates, 0.05, kl_limit, "there is no gold model")


def test_the_verdict_is_one_sentence_with_its_figures():
    # proxy at 1, smoothed: 0.1; at the end (0.7 + 0.8) / 2. gold: (0.1 + 0.3 + 0.25) / 3 and (0 - 0.05) / 2
    assert said(curves(FALLS, RISES), 1) == (
        "hacking", "The policy is hacking the reward model: since update 1 proxy +0.65, gold -0.24; kept update 1.",
    )  # fmt: skip
    assert said(curves(RISES, RISES), 8) == (
        "sound", "No sign of reward hacking: from the start to update 8, which is kept, proxy +0.70, gold +0.70.",
    )  # fmt: skip
    assert said(curves(RISES, RISES, kl=[0, 0, 0, 0, 0, 0, 0, 0, 41.25]), 3) == (
        "kl", "KL is 41.2 nats, beyond the limit of 40: stopped, proxy +0.70, gold +0.70 since the start; kept update 3.",
    )  # fmt: skip
    assert said(curves(FALLS[1:6], RISES[:5]), 0) == (
        "nothing", "By the reward model no update within the KL target is better than the start; kept the policy it started from.",
    )  # fmt: skip
    assert said(curves(score=RISES), 8) == (
        "unguarded", "Whether the policy hacks the reward model is not known, for there is no gold model; kept update 8.",
    )  # fmt: skip

"""How often a prompt is adopted wrongly, and how often rightly: whole evaluations, simulated.

    python -m benchmarks.adoption_error [--repetitions 2000]

An evaluation draws contexts, diaries of every arm on them, scores by a judge with a bias for each arm, and
five-level ratings by raters with biases of their own, and then runs the project's own sampling, estimate and
decision, look by look. Arms' true values are the exact means of the raters' levels. An error is an adopted
challenger that is worse than the best by epsilon or more, or no better than the incumbent, or a kept incumbent
worse than the best by epsilon or more; the table says whether an exact binomial test at the 1 % level refutes
«at most 5 % of evaluations end in error». Coverage is of the arms' intervals at the look where one stopped.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest

from components.evaluate_prompts.decide import Plan, decide
from components.evaluate_prompts.estimate import Estimates, corrected
from components.evaluate_prompts.rounds import next_pulls, next_ratings
from components.evaluate_prompts.samplers import UCB1

LEVELS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
RATERS = np.array([-0.15, -0.07, 0.0, 0.07, 0.15])  # bias of each
RATER_SD, DIARY_SD, SCORE_SLOPE = 0.3, 0.4, 0.6


@dataclass(frozen=True)
class Setting:
    """One world and one way to decide in it.

    truth: mean panel rating of each arm, incumbent first; bias: of the judge, per arm, or None for a draw with
    sd 0.1 in every repetition; rho2: squared correlation of score and rating within an arm; shared: correlation
    of two arms' diaries on one context. raters: "block" (one rater a context, in turn), "cell" (one a diary, at
    random) or "look" (another one each look). rule: "planned", or "peeking" (one-sided 5 % tests after every
    round). judge False: human ratings only; adaptive False: the same number of ratings for every arm. ucb_pulls:
    scored diaries a look, chosen by UCB1 on the scores; 0: every arm on every context.
    """

    name: str
    truth: tuple[float, ...]
    bias: tuple[float, ...] | None = None
    rho2: float = 0.4
    shared: float = 0.3
    raters: str = "block"
    rule: str = "planned"
    judge: bool = True
    adaptive: bool = True
    ucb_pulls: int = 0
    n_contexts: int = 150
    per_look: int = 100
    n_looks: int = 4
    epsilon: float = 0.1
    delta: float = 0.05


def to_level(q: np.ndarray) -> np.ndarray:
    return np.clip(np.round(q * 2), -2, 2) / 2


@lru_cache
def quality_mean(panel_mean: float) -> float:
    """The mean of normal quality with DIARY_SD at which the panel's levels average `panel_mean`."""

    def mean(m: float) -> float:
        edges = (LEVELS[:-1] + 0.25 - m - RATERS[:, None]) / np.hypot(DIARY_SD, RATER_SD)
        return float((1 - 0.5 * ndtr(edges).sum(axis=1)).mean())

    return brentq(lambda m: mean(m) - panel_mean, -3, 3)


def is_error(decision: str, arm: int, truth: Sequence[float], epsilon: float) -> bool:
    """Whether the claim made is false of the true means; the incumbent is arm 0."""
    behind = truth[arm] <= max(truth) - epsilon + 1e-9
    return decision != "undecided" and (behind or (decision == "adopt" and truth[arm] <= truth[0] + 1e-9))


def evaluate(s: Setting, rng: np.random.Generator) -> dict:
    """One evaluation to its end: decision, arm, ratings used, rho, and which intervals cover the truth."""
    k, n = len(s.truth), s.n_contexts
    center = np.array([quality_mean(t) for t in s.truth])[:, None]
    common, own = rng.normal(size=n), rng.normal(size=(k, n))
    quality = center + DIARY_SD * (np.sqrt(s.shared) * common + np.sqrt(1 - s.shared) * own)
    reliable = DIARY_SD**2 / (DIARY_SD**2 + RATER_SD**2 + RATERS.var() + 0.5**2 / 12)
    blur = SCORE_SLOPE * DIARY_SD * np.sqrt(max(reliable / s.rho2 - 1, 0))
    bias = rng.normal(0, 0.1, k) if s.bias is None else np.array(s.bias)
    scores = np.clip(SCORE_SLOPE * quality + bias[:, None] + rng.normal(0, blur, (k, n)), -1, 1)
    if not s.judge:
        scores = np.zeros((k, n))
    turn, order = rng.permutation(n) % len(RATERS), rng.permutation(len(RATERS))
    seen, ratings = (np.full((k, n), np.nan) if s.ucb_pulls else scores), np.full((k, n), np.nan)
    plan = Plan(s.n_looks, n_max=min(n, s.n_looks * s.per_look // 2), delta=s.delta, epsilon=s.epsilon)
    history: list[Estimates] = []
    for look in range(s.n_looks):
        for _ in range(0, s.ucb_pulls, 64):
            at = tuple(np.array(next_pulls(UCB1(seed=look), seen, 64)).T)
            seen[at] = scores[at]
        if s.adaptive:
            mean = history[-1].mean if history else np.zeros(k)
            chosen = next_ratings(mean, seen, ratings, s.per_look, s.epsilon)
        else:
            each = s.per_look // k
            chosen = [(arm, i) for arm in range(k) for i in range(look * each, min((look + 1) * each, n))]
        arms, contexts = np.array(chosen).T
        by = {"block": turn[contexts], "cell": rng.integers(len(RATERS), size=len(arms)),
              "look": np.full(len(arms), order[look % len(RATERS)])}[s.raters]  # fmt: skip
        felt = quality[arms, contexts] + RATERS[by] + rng.normal(0, RATER_SD, len(arms))
        ratings[arms, contexts] = to_level(felt)
        estimates = corrected(seen, ratings)
        history.append(estimates)
        if s.rule == "planned":
            result = decide(history, plan)
            decision, arm, covered = result.decision, result.arm, (result.low <= s.truth) & (s.truth <= result.high)
        else:
            decision, arm = peek(estimates, plan)
            covered = np.abs(estimates.mean - s.truth) <= 1.96 * estimates.se
        if decision != "undecided":
            break
    return {"decision": decision, "arm": arm, "ratings": int(estimates.n_rated.sum()), "covered": covered.mean(),
            "rho2": (estimates.rho or 0) ** 2, "looks": look + 1}  # fmt: skip


def peek(estimates: Estimates, plan: Plan) -> tuple[str, int]:
    """The broken rule: plain one-sided tests of the leader at level delta, at every look, unadjusted."""
    leader = int(np.argmax(estimates.mean))
    difference, se = estimates.differences()
    margin = np.full(len(se), plan.epsilon)
    if leader != plan.incumbent:
        margin[plan.incumbent] = 0
    shown = (difference[leader] + margin) / se[leader] > -ndtri(plan.delta)
    if not np.delete(shown, leader).all():
        return "undecided", leader
    return ("keep" if leader == plan.incumbent else "adopt"), leader


def simulate(s: Setting, repetitions: int, seed: int = 0) -> dict[str, float]:
    """Rates over `repetitions` evaluations; p_value: of the exact test of «error <= delta» against more."""
    runs = [evaluate(s, rng) for rng in np.random.default_rng(seed).spawn(repetitions)]
    errors = sum(is_error(r["decision"], r["arm"], s.truth, s.epsilon) for r in runs)
    adopted = np.array([r["decision"] == "adopt" for r in runs])
    best = np.array([s.truth[r["arm"]] >= max(s.truth) - 1e-9 for r in runs])
    return {
        "error": errors / repetitions,
        "p_value": float(binomtest(errors, repetitions, s.delta, alternative="greater").pvalue),
        "adopt": float(adopted.mean()),
        "adopt_best": float((adopted & best).mean()),
        "keep": float(np.mean([r["decision"] == "keep" for r in runs])),
        "coverage": float(np.mean([r["covered"] for r in runs])),
        "ratings": float(np.mean([r["ratings"] for r in runs])),
        "looks": float(np.mean([r["looks"] for r in runs])),
        "rho2": float(np.mean([r["rho2"] for r in runs])),
    }


EDGE = Setting("edge: rivals at -eps", (-0.2, 0.5, 0.4, 0.4))
ERROR_SETTINGS = [
    EDGE,
    replace(EDGE, name="edge, judge against best", bias=(0, -0.1, 0.1, 0.1)),
    replace(EDGE, name="edge, rater by diary", raters="cell"),
    replace(EDGE, name="edge, pulls by UCB1", n_contexts=400, ucb_pulls=256),
    replace(EDGE, name="edge near the top", truth=(0.1, 0.85, 0.75, 0.75)),
    replace(EDGE, name="edge, few ratings", n_contexts=40, per_look=24),
    replace(EDGE, name="edge, no judge", judge=False),
    replace(EDGE, name="edge, diaries unrelated", shared=0.0),
    Setting("edge, 5 arms", (-0.2, 0.5, 0.4, 0.4, 0.4), per_look=125),
    Setting("incumbent best, ties", (0.4, 0.4, 0.4, 0.4)),
    Setting("incumbent best, judge against", (0.4, 0.4, 0.4, 0.4), bias=(-0.1, 0.1, 0.1, 0.1)),
    Setting("incumbent best, pulls by UCB1", (0.4, 0.4, 0.4, 0.4), n_contexts=400, ucb_pulls=256),
    Setting("incumbent and rivals at -eps", (0.4, 0.5, 0.4, 0.4)),
]
DEMO = Setting("demo: gap 0.10", (0.2, 0.6, 0.5, 0.4))
POWER_SETTINGS = [
    replace(DEMO, name="demo: gap 0.30", truth=(0.2, 0.7, 0.4, 0.3)),
    replace(DEMO, name="demo: gap 0.20", truth=(0.2, 0.65, 0.45, 0.4)),
    DEMO,
    replace(DEMO, name="demo: gap 0.05", truth=(0.2, 0.55, 0.5, 0.4)),
    replace(DEMO, name="gap 0.10, judge rho2 0.2", rho2=0.2),
    replace(DEMO, name="gap 0.10, equal shares", adaptive=False),
    replace(DEMO, name="gap 0.10, no judge", judge=False),
    replace(DEMO, name="gap 0.10, no judge, equal", judge=False, adaptive=False),
    replace(DEMO, name="gap 0.10, 400 contexts", n_contexts=400),
    replace(DEMO, name="gap 0.10, 600 ratings", n_contexts=220, per_look=150),
    replace(DEMO, name="gap 0.05, 600 ratings", truth=(0.2, 0.55, 0.5, 0.4), n_contexts=220, per_look=150),
]
BROKEN = [  # what one must not do, to show what it costs
    replace(EDGE, name="broken: a rater for each look", raters="look"),
    replace(EDGE, name="broken: peeking, edge", rule="peeking", n_looks=20, per_look=20),
    replace(EDGE, name="broken: peeking, ties", truth=(0.4,) * 4, rule="peeking", n_looks=20, per_look=20),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000, help="evaluations a setting (default 2000)")
    repetitions = parser.parse_args().repetitions
    print(f"{repetitions} evaluations a setting; A first; ratings at most n_looks x per_look")
    print(f"{'setting':30} {'error':>6} {'refuted':>8} {'adopt':>6} {'best':>6} {'keep':>6} {'cover':>6} "
          f"{'ratings':>8} {'looks':>6} {'rho2':>5}")  # fmt: skip
    results = {}
    for s in [*ERROR_SETTINGS, *POWER_SETTINGS, *BROKEN]:
        r = results[s.name] = simulate(s, repetitions)
        refuted = "yes" if r["p_value"] < 0.01 else "no"
        print(f"{s.name:30} {r['error']:6.3f} {refuted:>8} {r['adopt']:6.3f} {r['adopt_best']:6.3f} {r['keep']:6.3f} "
              f"{r['coverage']:6.3f} {r['ratings']:8.0f} {r['looks']:6.2f} {r['rho2']:5.2f}", flush=True)  # fmt: skip
    kept = [results[s.name] for s in [*ERROR_SETTINGS, *POWER_SETTINGS]]
    print(json.dumps({
        "name": "adoption_error",
        "repetitions": repetitions,
        "error_max": max(r["error"] for r in kept),
        "refuted": sum(r["p_value"] < 0.01 for r in kept),
        "coverage_min": min(r["coverage"] for r in kept),
        "adopt_gap_0.30": results["demo: gap 0.30"]["adopt"],
        "adopt_gap_0.20": results["demo: gap 0.20"]["adopt"],
        "adopt_gap_0.10": results["demo: gap 0.10"]["adopt"],
        "adopt_gap_0.05": results["demo: gap 0.05"]["adopt"],
        "adopt_gap_0.10_no_judge_equal": results["gap 0.10, no judge, equal"]["adopt"],
        "ratings_gap_0.10": results["demo: gap 0.10"]["ratings"],
        "error_peeking": max(results[s.name]["error"] for s in BROKEN if s.rule == "peeking"),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""Whole evaluations in a simulated world: what the stated confidence, the power and `plan` rest on.

The project's own decision, after each look at the world (`world.py`), is held against the arms' true values.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import ndtri
from scipy.stats import binomtest

from components.evaluate_prompts.decide import Plan, decide
from components.evaluate_prompts.estimate import Estimates
from components.evaluate_prompts.world import Setting, looks


def is_false_adoption(decision: str, arm: int, truth: Sequence[float], epsilon: float) -> bool:
    """Whether an arm was adopted that is worse than the best by epsilon or more."""
    return decision == "adopt" and truth[arm] <= max(truth) - epsilon + 1e-9


def is_error(decision: str, arm: int, truth: Sequence[float], epsilon: float) -> bool:
    """Whether any claim made is false of the true means; the incumbent is arm 0."""
    behind = truth[arm] <= max(truth) - epsilon + 1e-9
    return decision != "undecided" and (behind or (decision == "adopt" and truth[arm] <= truth[0] + 1e-9))


def evaluate(s: Setting, rng: np.random.Generator) -> dict:
    """One evaluation to its end: decision, arm, leader, ratings used, looks, rho2, and the shares of intervals that

    cover the truth: `covered` at the look where it stopped, `covered_fixed` at a look fixed beforehand, the second.
    """
    plan = Plan(s.n_looks, delta=s.delta, epsilon=s.epsilon)
    history: list[Estimates] = []
    for estimates in looks(s, rng):
        history.append(estimates)
        if len(history) <= 2:
            fixed = estimates.interval(1 - s.delta)
        if s.rule == "planned":
            result = decide(history, plan)
            decision, arm, interval = result.decision, result.arm, (result.low, result.high)
        else:
            decision, arm = peek(estimates, plan)
            interval = estimates.interval(1 - s.delta)
        if decision != "undecided" or len(history) == s.n_looks:
            break
    return {"decision": decision, "arm": arm, "leader": int(np.argmax(estimates.mean)),
            "ratings": int(estimates.n_ratings.sum()), "looks": len(history), "rho2": (estimates.rho or 0) ** 2,
            "covered": _covering(interval, s.truth), "covered_fixed": _covering(fixed, s.truth)}  # fmt: skip


def _covering(interval: tuple[np.ndarray, np.ndarray], truth: Sequence[float]) -> float:
    return float(((interval[0] <= truth) & (truth <= interval[1])).mean())


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


def simulate(s: Setting, repetitions: int, seed: int = 0, done: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Rates over `repetitions` evaluations; p_value: of the exact test of «error <= delta» against more.

    done: called after every evaluation.
    """
    runs = []
    for rng in np.random.default_rng(seed).spawn(repetitions):
        runs.append(evaluate(s, rng))
        done()
    errors = sum(is_error(r["decision"], r["arm"], s.truth, s.epsilon) for r in runs)
    best = np.array(s.truth) >= max(s.truth) - 1e-9

    def mean(of: Callable[[dict], float]) -> float:
        return float(np.mean([of(r) for r in runs]))

    return {
        "error": errors / repetitions,
        "p_value": float(binomtest(errors, repetitions, s.delta, alternative="greater").pvalue),
        "false_adoption": mean(lambda r: is_false_adoption(r["decision"], r["arm"], s.truth, s.epsilon)),
        "adopt": mean(lambda r: r["decision"] == "adopt"),
        "adopt_best": mean(lambda r: r["decision"] == "adopt" and best[r["arm"]]),
        "keep": mean(lambda r: r["decision"] == "keep"),
        "lead_best": mean(lambda r: best[r["leader"]]),
        **{
            name: mean(lambda r, name=name: r[name])
            for name in ("covered", "covered_fixed", "ratings", "looks", "rho2")
        },
    }

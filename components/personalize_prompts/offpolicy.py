"""What switching to another way of choosing prompts is worth, from the log of the way that was in use.

With pi(a|s) the new chances, p the logged propensity of the prompt shown, w = pi / p, r the value, q a model of it:

    IPS    mean of w r                                     (Horvitz and Thompson 1952)
    SNIPS  sum of w r / sum of w                           (Swaminathan and Joachims 2015)
    DR     mean of sum_a pi(a|s) q(s, a) + w (r - q)       (Dudik, Erhan, Langford and Li 2014)

The values are obp's. The intervals are ours: obp's bootstrap does not pair a policy with the one it replaces, and
keeps SNIPS's sum of weights as it is. A policy chosen on the showings that evaluate it looks better than it is, so
each fifth of the log is evaluated with policy and model chosen on the other four (cross-fitting; Chernozhukov et al.
2018). What is evaluated is thus the way of choosing, on a little less data; the allocation itself is chosen on all.

A propensity says nothing of prompts that were not on offer: over two allocations with other prompts, p is right and the
values are not, since nothing stands in the older showings for what only the newer offered. What evaluates are thus the
showings after the youngest compared prompt was first shown (`since_all`); what chooses and models is all of the log.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from components.personalize_prompts.segments import FOLDS, Log

ESTIMATORS = {"ips": "IPS", "snips": "SNIPS", "dr": "DR"}
LEAST_OF_FOLD = 5  # showings of compared prompts
LEAST_EFFECTIVE = 100  # showings; an interval on less is not to be trusted
MOST_SHARE = 0.05  # of all weight, on a single showing
FARTHEST = 4.0  # standard errors of the mean weight from what it should be


@dataclass(frozen=True)
class Estimate:
    """A policy's mean value in [-1, 1] and its gain over another's, each with its interval."""

    value: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True)
class Support:
    """How much of the log speaks of a policy.

    effective: (sum w)^2 / sum w^2, showings; largest: weight of one showing, and `share` of all weight; raised: share
    of showings whose propensity was raised; unseen: share of the policy's showings that the log has no example of.
    warnings: sentences, where these make the estimates worthless.
    """

    effective: float
    largest: float
    share: float
    raised: float
    unseen: float
    warnings: tuple[str, ...]


def evaluable(log: Log) -> bool:
    """Whether anybody reacted, and every fold of the log shows compared prompts LEAST_OF_FOLD times."""
    shown = np.bincount(log.fold[log.arm < len(log.arms)], minlength=FOLDS)
    return bool(log.value.any() and shown.min() >= LEAST_OF_FOLD)


def since_all(log: Log) -> np.ndarray:
    """[n] mask of the showings after the first one of the youngest compared prompt, in the log's order.

    That one itself is where one stops looking: it is of this prompt whatever the chances were, and would count too much.
    """
    arms, first = np.unique(log.arm, return_index=True)
    return np.arange(len(log)) > first[arms < len(log.arms)].max(initial=-1)


def crossfit(
    log: Log, choose: Callable[[np.ndarray], tuple[Mapping[str, np.ndarray], np.ndarray]]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Each policy's chances, [n, K], and the model's values, [n, K], of every showing, chosen without its fold.

    choose: [n] mask of showings -> (policy name -> [S, K] chances, [S, K] model).
    """
    chosen = [choose(log.fold != fold) for fold in range(FOLDS)]
    policies = {name: np.array([p[name] for p, _ in chosen])[log.fold, log.segment] for name in chosen[0][0]}
    return policies, np.array([model for _, model in chosen])[log.fold, log.segment]


def estimates(
    log: Log, policy: np.ndarray, model: np.ndarray, confidence: float, over: np.ndarray | None = None
) -> dict[str, Estimate]:
    """IPS, SNIPS and DR of a policy (ESTIMATORS' keys). policy, model: [n, K] for every showing.

    over: [n, K], the policy that the gain is over; none: the logged one, whose value is the mean of r. Intervals are
    value -+ t · sd(influence) / sqrt(n) with t of the effective showings, less one; those of a gain are of the paired
    influences. They take showings to be independent, which those of one user are not quite.
    """
    here = {k: _estimate(log, policy, model, k) for k in ESTIMATORS}
    there = {k: (float(log.value.mean()), log.value) if over is None else _estimate(log, over, model, k)
             for k in ESTIMATORS}  # fmt: skip
    freedom = max(min(effective(_weights(log, p)) for p in (policy, over) if p is not None) - 1, 1)
    t = float(stdtrit(freedom, (1 + confidence) / 2))

    def interval(value: float, influence: np.ndarray) -> tuple[float, float, float]:
        half = t * float(influence.std(ddof=1)) / len(log) ** 0.5
        return value, value - half, value + half

    return {
        k: Estimate(*interval(*here[k]), *interval(here[k][0] - there[k][0], here[k][1] - there[k][1]))
        for k in ESTIMATORS
    }


def _estimate(log: Log, policy: np.ndarray, model: np.ndarray, estimator: str) -> tuple[float, np.ndarray]:
    """The value, by obp, and what each showing adds to it, [n]; the mean of these is the value where there is any weight."""
    from obp.ope import DoublyRobust, InverseProbabilityWeighting, SelfNormalizedInverseProbabilityWeighting

    weight, seen = _weights(log, policy), np.minimum(log.arm, policy.shape[1] - 1)
    # obp's actions count a prompt that is not compared any more too: the policy never shows it
    known = dict(reward=log.value, action=log.arm, pscore=log.propensity, action_dist=_with_retired(policy))
    if estimator == "ips":
        return float(InverseProbabilityWeighting().estimate_policy_value(**known)), weight * log.value
    if estimator == "snips":
        value = float(SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**known))
        return value, value + weight * (log.value - value) / weight.mean()
    value = DoublyRobust().estimate_policy_value(**known, estimated_rewards_by_reg_model=_with_retired(model))
    expected = (policy * model).sum(axis=1)
    return float(value), expected + weight * (log.value - model[np.arange(len(log)), seen])


def _with_retired(per_arm: np.ndarray) -> np.ndarray:
    return np.pad(per_arm, ((0, 0), (0, 1)))[:, :, None]


def _weights(log: Log, policy: np.ndarray) -> np.ndarray:
    return np.pad(policy, ((0, 0), (0, 1)))[np.arange(len(log)), log.arm] / log.propensity


def effective(weight: np.ndarray) -> float:
    """Showings that an unweighted mean would need for the same precision (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def support(log: Log, policy: np.ndarray) -> Support:
    """How much the log's showings speak of `policy` ([n, K]), and whether too little."""
    weight, raised = _weights(log, policy), float(log.raised.mean())
    n_effective, largest = effective(weight), float(weight.max())
    share = largest / float(weight.sum())
    unseen = float((policy * (log.cells() == 0)[log.segment]).sum(axis=1).mean())
    se = float(weight.std(ddof=1)) / len(log) ** 0.5
    warnings = []
    if n_effective < LEAST_EFFECTIVE:
        warnings.append(f"{len(log)} showings weigh only as much as {n_effective:.0f} would if this policy had made them: "
                        "too few to believe its value.")  # fmt: skip
    if share > MOST_SHARE:
        warnings.append(f"One showing alone has {share:.0%} of the weight: the value hangs on it.")
    if unseen > 0:
        warnings.append(f"{unseen:.1%} of what this policy would show was never shown to such users: IPS counts it as 0, "
                        "SNIPS as the average of the rest, and DR takes the shrunk mean's word.")  # fmt: skip
    if not raised and abs(float(weight.mean()) - (1 - unseen)) > FARTHEST * se + 1e-9:
        warnings.append(f"Weights average {weight.mean():.3f} and should average {1 - unseen:.3f}: either the logged propensities "
                        "are not the chances with which prompts were drawn, or prompts were added or withdrawn within the "
                        "log; then cut it to the showings since the last adoption. No value here can be believed.")  # fmt: skip
    return Support(n_effective, largest, share, raised, unseen, tuple(warnings))

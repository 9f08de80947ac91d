"""What may become a candidate, and what its reviewer is told."""

from collections.abc import Mapping
from typing import Any


def reward_refusal(card: Mapping[str, Any]) -> str | None:
    """Why this reward model is no candidate: on the test split it is not better than the constant. None: it is one."""
    test = card["metrics"]["test"]
    if test["mse"] < test["constant_mse"]:
        return None
    return (f"its test error (MSE {test['mse']:.3f}, n = {test['n']}) is not below "
            f"that of a constant ({test['constant_mse']:.3f})")  # fmt: skip


def prompt_refusal(decision: Mapping[str, Any]) -> str | None:
    """Why this run's prompt is no candidate: it was not adopted. None: it was."""
    return None if decision["decision"] == "adopt" else f"the decision is '{decision['decision']}', not 'adopt'"


def describe_reward(card: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    test = card["metrics"]["test"]
    ranks = "" if test.get("spearman") is None else f"; Spearman {test['spearman']:.2f}"
    return (f"Reward model '{card['champion']}'. On {test['n']} held-out diaries its MSE is {test['mse']:.3f}, "
            f"a constant's {test['constant_mse']:.3f}{ranks}. {_data(version)}")  # fmt: skip


def reward_tags(card: Mapping[str, Any]) -> dict[str, str]:
    """What a reward model can be searched by in the registry."""
    test = card["metrics"]["test"]
    return {"champion": card["champion"],
            **{f"test_{name}": f"{test[name]:.4f}" for name in ("mse", "spearman") if test.get(name) is not None}}  # fmt: skip


def describe_policy(card: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    return f"Prompt policy, trained by PPO against reward model {card['model_hash'][:12]}. {_data(version)}"


def describe_prompt(decision: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    judged = "simulated ratings" if decision["simulated"] else "human ratings"
    return (f"{decision['sentence']} Judged by {decision['ratings_used']} {judged}, at {decision['confidence']:.0%} "
            f"confidence and with a margin of {decision['epsilon']:g}. {_data(version)}")  # fmt: skip


def _data(version: Mapping[str, Any]) -> str:
    whose = "Simulated data" if version["simulated"] else "Data"
    return f"{whose} version {version['version']}: {version['n_ratings']} ratings of {version['n_diaries']} diaries."

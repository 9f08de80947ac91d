"""Which of the sampled prompts become challengers."""

from collections.abc import Iterable, Sequence

import numpy as np

from memozy.records import template_fault


def usable(templates: Iterable[str], known: Iterable[str]) -> list[str]:
    """Templates without a fault, each once, none of them `known` already; the order is kept."""
    seen = set(known)
    kept = []
    for template in templates:
        if template not in seen and template_fault(template) is None:
            seen.add(template)
            kept.append(template)
    return kept


def choose(
    sft: Sequence[str], sft_scores: np.ndarray, ppo: Sequence[str], ppo_scores: np.ndarray
) -> list[tuple[str, str]]:
    """(origin, template) of up to three challengers, no template twice.

    `ppo`: the PPO policy's best by score. `best_of_n`: the SFT policy's best. `sft`: the SFT policy's
    first draw, what one gets without any selection. A template already chosen makes way for the next.
    """
    chosen: dict[str, str] = {}
    for origin, candidates in (
        ("ppo", [ppo[i] for i in np.argsort(-ppo_scores, kind="stable")]),
        ("best_of_n", [sft[i] for i in np.argsort(-sft_scores, kind="stable")]),
        ("sft", sft),
    ):
        fresh = [t for t in candidates if t not in chosen]
        if fresh:
            chosen[fresh[0]] = origin
    return [(origin, template) for template, origin in chosen.items()]

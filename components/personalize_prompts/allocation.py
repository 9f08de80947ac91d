"""Who gets which prompt: the adopted one, unless a segment is shown to prefer another, and a share to explore."""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from components.personalize_prompts.segments import Values
from memozy.feedback import Allocation


def departures(values: Values, named: int, confidence: float) -> dict[int, int]:
    """segment -> the prompt it departs to from the adopted one: indices. The first `named` segments may depart.

    It departs to the prompt with the largest shrunk gain of those shown to be better: whose doubt is at most
    (1 - confidence) / (number of segments · number of other prompts). By Bonferroni, the chance of any wrong departure
    is then at most 1 - confidence, over all segments together.
    """
    comparisons = max(named * (values.gain.shape[1] - 1), 1)
    shown = values.doubt <= (1 - confidence) / comparisons
    return {
        s: int(np.where(shown[s], values.gain[s], -np.inf).argmax()) for s in range(named) if shown[s].any()
    }  # fmt: skip


def chances(n_arms: int, best: int, exploration: float) -> np.ndarray:
    """[K] 1 - exploration for the best, the rest spread evenly over the others, so that every propensity is above 0."""
    if n_arms == 1:
        return np.ones(1)
    shares = np.full(n_arms, exploration / (n_arms - 1))
    shares[best] = 1 - exploration
    return shares


def policy(n_segments: int, n_arms: int, adopted: int, departing: Mapping[int, int], exploration: float) -> np.ndarray:
    """[S, K] chances of every prompt for every segment."""
    return np.array([chances(n_arms, departing.get(s, adopted), exploration) for s in range(n_segments)])


def allocate(
    templates: Mapping[str, str], adopted: int, segments: Sequence[str], departing: Mapping[int, int],
    exploration: float, seed: int,
) -> Allocation:  # fmt: skip
    """The artifact. templates: prompt_id -> template, in the arms' order; segments: those that are known.

    The salt is a hash of all else and the seed: the same allocation draws the same, another one deals anew.
    """

    def named(best: int) -> dict[str, float]:
        return dict(zip(templates, chances(len(templates), best, exploration).tolist(), strict=True))

    parts = {
        "prompts": dict(templates),
        "everyone": named(adopted),
        "segments": {name: named(departing.get(s, adopted)) for s, name in enumerate(segments)},
    }
    salt = hashlib.sha256(json.dumps([parts, seed], ensure_ascii=False).encode()).hexdigest()[:12]
    return Allocation(salt=salt, **parts)

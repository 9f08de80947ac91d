"""What may become the reward model, one small file each; `config.CANDIDATES` names them.

A file says either how a member is fitted:
    READS = {block: weight, …}             what it reads (memozy.reward.features); {} for the text itself
    def fit(training: Training) -> Member
or how members of other files are put together:
    MEMBERS = (name, …)                    None: every member candidate that competes
    def weigh(names, said, ratings) -> weights    names of the k members; said (k, n): what they say out of fold;
                                                  weights (k,), sum 1
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from components.train_reward.config import Config
from memozy.records import InputError
from memozy.reward.features import View
from memozy.reward.members import Member, SequenceMember


@dataclass(frozen=True)
class Training:
    """What a candidate is fitted on: n rows. weights (n,): how often each counts. view: their features, as read here.

    preferences: what ranked lists say of other texts, where there are any.
    work: a folder for checkpoints of this very fit, which outlives a killed attempt.
    """

    view: View
    ratings: np.ndarray
    weights: np.ndarray
    groups: np.ndarray
    preferences: Preferences | None
    config: Config
    work: Path


@dataclass(frozen=True)
class Preferences:
    """m pairs of texts: `chosen` was preferred to `rejected`."""

    chosen: View
    rejected: View


def load(names: Sequence[str]) -> dict[str, ModuleType]:
    """The candidates called `names`. Raises InputError for a name without a file."""
    known = sorted(m.name for m in pkgutil.iter_modules(__path__))
    for name in names:
        if name not in known:
            raise InputError("no such candidate", field="reward.candidates", value=name,
                             remedy=f"Known: {', '.join(known)}")  # fmt: skip
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}


def combines(candidate: ModuleType) -> bool:
    """Whether a candidate puts members of other files together."""
    return hasattr(candidate, "weigh")


__all__ = ["Member", "SequenceMember", "Training", "Preferences", "load", "combines"]

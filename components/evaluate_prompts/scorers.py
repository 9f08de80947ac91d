"""What a diary is scored by: the reward model, an LLM judge, or for questions the verifier.

Every scorer has a `name`, a hash of all that can change its scores, and takes texts with the contexts they were
written for. App feedback and people are no scorers of this kind: they answer in their own time (`evaluation.py`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from components.evaluate_prompts.config import Config
from memozy.records import HUMAN, OVERSAMPLED, RATING_LEVELS, nearest_level, read
from memozy.reward import RewardModel, ScoreCache
from memozy.reward.judge import RUBRIC, Example, Judge
from memozy.stages import Progress


class Scorer(Protocol):
    name: str

    def score(self, texts: Sequence[str], contexts: Sequence[dict]) -> tuple[np.ndarray, float]:
        """Scores in [-1, 1], (n,), NaN where the scorer's answer could not be read; and what they cost, US dollars."""


@dataclass(frozen=True)
class ByRewardModel:
    model: RewardModel

    @property
    def name(self) -> str:
        return self.model.model_hash

    def score(self, texts: Sequence[str], contexts: Sequence[dict]) -> tuple[np.ndarray, float]:
        return self.model.score(texts)[0], 0.0


@dataclass(frozen=True)
class ByJudge:
    judge: Judge

    @property
    def name(self) -> str:
        return self.judge.name

    def score(self, texts: Sequence[str], contexts: Sequence[dict]) -> tuple[np.ndarray, float]:
        said = self.judge.grade(texts, Progress("evaluate_prompts: judge", len(texts), "texts"))
        return said.values, said.cost_usd


@dataclass(frozen=True)
class ByVerifier:
    name: str = "verifier"

    def score(self, texts: Sequence[str], contexts: Sequence[dict]) -> tuple[np.ndarray, float]:
        from memozy.qna import verify

        return np.array([verify(text, question).score for text, question in zip(texts, contexts, strict=True)]), 0.0


def open_scorer(config: Config, reward: Path, oversampled: Path, work: Path) -> Scorer | None:
    """The scorer that `config` names; None where diaries are not scored as they are written."""
    if config.scorer == "reward":
        return ByRewardModel(RewardModel.load(reward, ScoreCache(work / "scores.sqlite")))
    if config.scorer == "judge":
        return ByJudge(Judge(config.judge, RUBRIC, examples(oversampled, config.examples_per_level, config.seed)))
    return ByVerifier() if config.scorer == "verifier" else None


def examples(oversampled: Path, per_level: int, seed: int) -> tuple[Example, ...]:
    """Rated training diaries to show to the judge: up to `per_level` for each level, shuffled, each of another group.

    Their contexts are the training data's, so none of them is ever evaluated on.
    """
    if per_level == 0:
        return ()
    rows = read(oversampled, OVERSAMPLED).filter(HUMAN, split="train").to_dicts()
    rng = random.Random(seed)
    rng.shuffle(rows)
    chosen: list[Example] = []
    for level in sorted(RATING_LEVELS, key=lambda x: sum(nearest_level(r["rating"]) == x for r in rows)):
        used = {e.group_id for e in chosen}
        for row in [r for r in rows if nearest_level(r["rating"]) == level]:
            if sum(nearest_level(e.rating) == level for e in chosen) < per_level and row["group_id"] not in used:
                used.add(row["group_id"])
                chosen.append(Example(row["text"], row["rating"], row["group_id"]))
    rng.shuffle(chosen)
    return tuple(chosen)

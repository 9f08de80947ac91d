"""From pulls to the decision, and nothing else: what a run decides by, and what a reviewer decides again by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.decide import Decision, Plan, decide
from components.evaluate_prompts.estimate import Estimates, Ratings, corrected, weighted
from components.evaluate_prompts.rounds import UNREAD, observed
from memozy.qna import group_of


class Settings(BaseModel):
    """All that decides besides the pulls. arms: prompt ids, the incumbent first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arms: tuple[str, ...] = Field(min_length=2)
    rule: Literal["planned", "classic"]
    scorer: Literal["reward", "judge", "human", "verifier", "feedback"]
    confidence: float = Field(gt=0.5, lt=1)
    epsilon: float = Field(ge=0)
    looks: int = Field(ge=1)

    @classmethod
    def of(cls, config: Config, arms: Sequence[str]) -> "Settings":
        """The settings of a run, fixed before its first pull."""
        names = [name for name in cls.model_fields if name != "arms"]
        return cls(arms=tuple(arms), **{name: getattr(config, name) for name in names})

    @property
    def plan(self) -> Plan:
        return Plan(n_looks=self.looks, delta=round(1 - self.confidence, 12), epsilon=self.epsilon)


@dataclass(frozen=True)
class Standing:
    """Where an evaluation stands. looks: the estimates at each; decided: what they come to, None before the first.

    raters: the names behind the indices of the last look's rater effects.
    """

    looks: list[Estimates]
    decided: Decision | None
    raters: list[str]

    def finished(self, planned: int) -> bool:
        """Whether nothing is left to ask: decided, or all planned looks made."""
        return self.decided is not None and (self.decided.decision != "undecided" or len(self.looks) == planned)


def replay(rows: Sequence[dict], settings: Settings) -> Standing:
    """The standing after `rows`, of PULLS as dicts. Under rule "classic" there are no looks."""
    if settings.rule == "classic":
        return Standing([], None, [])
    contexts = sorted({r["context_id"] for r in rows})
    decisive = [r for r in rows if settings.scorer in ("verifier", "feedback") or r["rater_id"] is not None]
    looks, raters = [], []
    for round_ in range(1, 1 + max((r["round"] for r in decisive), default=0)):
        so_far = [r for r in rows if r["round"] <= round_]
        if settings.scorer == "feedback":
            looks.append(_reactions(so_far, settings.arms))
        elif settings.scorer == "verifier":
            looks.append(verified(so_far, settings.arms))
        else:
            scores, ratings, raters = observed(so_far, settings.arms, contexts, round_)
            looks.append(corrected(scores, ratings))
    return Standing(looks, decide(looks, settings.plan) if looks else None, raters)


def verified(rows: Sequence[dict], arms: Sequence[str]) -> Estimates:
    """A verifier's scores are the truth. What is counted is an arm's mean over the questions of one template."""
    templates = sorted({group_of(r["context_id"]) for r in rows})
    n, total = np.zeros((2, len(arms), len(templates)))
    for row in rows:
        at = arms.index(row["prompt_id"]), templates.index(group_of(row["context_id"]))
        n[at], total[at] = n[at] + 1, total[at] + row["score"]
    arm, template = np.nonzero(n)
    truth = Ratings(arm=arm, context=template, rater=np.zeros(len(arm), int), value=(total / np.maximum(n, 1))[arm, template])
    return corrected(np.where(n > 0, UNREAD, np.nan), truth)


def _reactions(rows: Sequence[dict], arms: Sequence[str]) -> Estimates:
    arm = np.array([arms.index(r["prompt_id"]) for r in rows])
    value, propensity = (np.array([r[name] for r in rows], float) for name in ("score", "propensity"))
    return weighted(arm, value, propensity, len(arms))


def highest_mean(rows: Sequence[dict], arms: Sequence[str]) -> int:
    """The arm that rule "classic" adopts: of the highest mean score, the earlier one of two alike."""
    means = score_means(rows, arms)
    return int(np.argmax([-np.inf if m is None else m for m in means]))


def score_means(rows: Sequence[dict], arms: Sequence[str]) -> list[float | None]:
    """Mean score of each arm's pulls, UNREAD where the scorer said nothing; None where it never said anything."""
    own = [[r["score"] for r in rows if r["prompt_id"] == a and r["rater_id"] is None] for a in arms]
    return [float(np.mean([UNREAD if s is None else s for s in scores])) if set(scores) - {None} else None for scores in own]

"""What a policy is trained in: queries to answer, and what the answers are worth.

One interface for every task, so that a trainer knows nothing of prompts, diaries or questions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from memozy.environments.config import EnvironmentConfig
from memozy.llm import LLMConfig, open_llm
from memozy.records import ARMS, QUERIES, InputError, check_template, read_contexts, read_jsonl

FLOOR = -1.0  # of a response that is not even tried


class Scored(NamedTuple):
    """scores: [B] in [-1, 1]. info: name -> [B], of each response.

    Every task tells `fault` (1: not tried, it scores FLOOR) and `proxy`, the score before pessimism. The diary tasks
    tell `gold`, the same by the gold model, where there is one. What could not be tried has FLOOR for both.
    """

    scores: np.ndarray
    info: dict[str, np.ndarray]


class Reward(Protocol):
    """Anything that scores texts: a `memozy.reward.RewardModel`, or a class of one method."""

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Means in [-1, 1] and uncertainties >= 0, both [n]."""


class Environment(Protocol):
    def reset(self, update: int, n: int) -> list[str]:
        """The `n` queries of update `update`, the same for the same (seed, update, n)."""

    def score(self, queries: Sequence[str], responses: Sequence[str]) -> Scored:
        """What each response to the query beside it is worth, in the update last reset to.

        Equal calls give equal scores. What a language model was asked for it is in the ledger: to repeat it is free.
        """


def open_environment(config: EnvironmentConfig, llm: LLMConfig, queries: Sequence[str], seed: int,
                     reward: Reward | None = None, gold: Reward | None = None) -> Environment:  # fmt: skip
    """The environment of `config.task`. llm: the frozen model that obeys a prompt. queries: what a prompt is asked for by.

    reward: of the diary tasks. gold: a reward model that is looked at and never learnt from. Raises InputError where a
    file is wrong, or the task lacks its reward model or its queries.
    """
    diaries = config.task != "prompt/qna"
    if diaries and reward is None:
        raise InputError("no reward model", field="environment.task", value=config.task,
                         remedy="This task needs the artifact 'reward'")  # fmt: skip
    if config.task != "response/diary" and not queries:
        raise InputError("the policy was taught no queries", field="environment.task", value=config.task,
                         remedy="Give it a queries.jsonl")  # fmt: skip
    starts = StartStates.of(config, seed)
    if config.task == "prompt/qna":
        from memozy.environments.prompt_qna import PromptQnA
        from memozy.qna import read_questions

        questions = read_questions(config.questions, config.n_questions)
        return PromptQnA(open_llm(llm), questions, config.inputs_per_prompt, queries, seed, starts, config.answers)
    contexts = read_contexts(config.contexts, config.n_contexts).to_dicts()
    if config.task == "prompt/diary":
        from memozy.environments.prompt_diary import PromptDiary

        return PromptDiary(open_llm(llm), contexts, config.inputs_per_prompt, queries, seed, reward, gold,
                           config.pessimism, starts)  # fmt: skip
    from memozy.environments.response_diary import ResponseDiary

    template = read_jsonl(config.prompts, ARMS)["template"][0]
    check_template(template, config.prompts, 1)
    return ResponseDiary(template, contexts, seed, reward, gold, config.pessimism, starts)


class StartStates:
    """Queries made to lead a policy astray, and the share of an update's queries whose place they take.

    A policy that is only asked what it was taught never learns to withstand anything else; that it scores well on
    these too shows that its scores are not owed to the queries' form.
    """

    def __init__(self, texts: Sequence[str], share: float, seed: int) -> None:
        self.texts, self.share, self.seed = list(texts), share, seed

    @classmethod
    def of(cls, config: EnvironmentConfig, seed: int) -> StartStates:
        texts = read_jsonl(config.start_states, QUERIES)["query"].to_list() if config.start_states else []
        return cls(texts, config.adversarial_share, seed)

    def among(self, n: int, update: int) -> dict[int, str]:
        """position -> text, for round(share × n) of `n` positions, drawn by (seed, update)."""
        rng = random.Random(f"{self.seed}|{update}|starts")
        places = sorted(rng.sample(range(n), round(self.share * n)))
        return dict(zip(places, in_turn(self.texts, len(places), rng), strict=True))


def in_turn(items: Sequence, n: int, rng: random.Random) -> list:
    """`n` of `items` in random order, none again before all have been taken."""
    taken: list = []
    while len(taken) < n:
        taken += rng.sample(list(items), min(len(items), n - len(taken)))
    return taken


def asked(queries: Sequence[str], update: int, n: int, starts: StartStates) -> list[str]:
    """The `n` queries of an update: `queries` in turn over the updates, or in their place an adversarial one."""
    instead = starts.among(n, update)
    return [instead.get(i, queries[(update * n + i) % len(queries)]) for i in range(n)]


def diary_scores(texts: Sequence[str], reward: Reward, gold: Reward | None, pessimism: float) -> dict[str, np.ndarray]:
    """Of each diary, [n]: `score`, its mean less `pessimism` times its uncertainty, but not below FLOOR
    (Coste et al. 2023, arXiv:2310.02743, §3); `proxy`, the mean itself; `gold`, where there is a gold model."""
    none = np.empty(0)
    means, uncertainties = reward.score(texts) if texts else (none, none)
    told = {"score": np.maximum(means - pessimism * uncertainties, FLOOR), "proxy": means}
    return told if gold is None else told | {"gold": gold.score(texts)[0] if texts else none}

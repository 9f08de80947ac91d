"""`prompt/diary`: a prompt is worth what the diaries are worth that a frozen task LM writes by it."""

import random
from collections.abc import Sequence

import numpy as np

from memozy.environments import FLOOR, Reward, Scored, StartStates, asked, diary_scores
from memozy.environments.hygiene import prompt_fault, secrets_of
from memozy.llm import ChatModel
from memozy.records import SLOTS, fill


class PromptDiary:
    """Responses are prompt templates, scored over `per_prompt` contexts that all prompts of an update share, so that
    their scores differ by the prompt and not by the day.

    A template with a fault (`prompt_fault`) scores FLOOR unread. Of what a context tells, its place and its photo are
    secrets: a template that names one is made for it. People and moods a style may well name («친구에게 말하듯»).
    """

    def __init__(self, llm: ChatModel, contexts: Sequence[dict], per_prompt: int, queries: Sequence[str], seed: int,
                 reward: Reward, gold: Reward | None, pessimism: float, starts: StartStates) -> None:  # fmt: skip
        self.llm, self.contexts, self.per_prompt, self.seed = llm, list(contexts), per_prompt, seed
        self.queries, self.starts = list(queries), starts
        self.reward, self.gold, self.pessimism = reward, gold, pessimism
        self.secrets = secrets_of(context[slot] for context in contexts for slot in ("place", "photo"))
        self.update = 0

    def reset(self, update: int, n: int) -> list[str]:
        """See Environment. The policy's queries in turn, or an adversarial one."""
        self.update = update
        return asked(self.queries, update, n, self.starts)

    def score(self, queries: Sequence[str], responses: Sequence[str]) -> Scored:
        """See Environment. A response's score, `proxy` and `gold` are the means over its diaries."""
        contexts = random.Random(f"{self.seed}|{self.update}").sample(self.contexts, self.per_prompt)
        faults = [prompt_fault(t, q, SLOTS, self.secrets) for q, t in zip(queries, responses, strict=True)]
        usable = [i for i, fault in enumerate(faults) if fault is None]
        prompts = [fill(responses[i], context) for i in usable for context in contexts]
        diaries = self.llm.complete(prompts, seed=self.seed + self.update)
        each = diary_scores([d.text for d in diaries], self.reward, self.gold, self.pessimism)
        told = {name: np.full(len(responses), FLOOR) for name in each}
        for name, values in each.items():  # [usable × per_prompt]
            told[name][usable] = values.reshape(len(usable), self.per_prompt).mean(axis=1)
        scores = told.pop("score")
        return Scored(scores, told | {"fault": np.array([fault is not None for fault in faults], float)})

"""What PPO acts in: a prompt is worth what the diaries are worth that a frozen task LM writes by it."""

import random
from collections.abc import Sequence

import numpy as np

from memozy.llm import ChatModel
from memozy.records import fill, template_fault
from memozy.reward import RewardModel


class PromptDiary:
    """Environment `prompt/diary`: responses are prompt templates, scored by the reward model over shared contexts."""

    def __init__(self, llm: ChatModel, reward: RewardModel, contexts: Sequence[dict], per_prompt: int, seed: int,
                 pessimism: float = 0.0) -> None:  # fmt: skip
        self.llm, self.reward, self.contexts, self.pessimism = llm, reward, list(contexts), pessimism
        self.per_prompt, self.seed = per_prompt, seed

    def score(self, templates: Sequence[str], update: int) -> np.ndarray:
        """Mean diary score of each template, [B] in [-1, 1]; a template with a fault scores -1 unread.

        From each diary's score `pessimism` times its uncertainty is taken, down to -1 (Coste et al. 2023, §3).

        All templates of an update write the same `per_prompt` contexts, drawn by (seed, update), so
        that their scores differ by the prompt and not by the day.
        """
        contexts = random.Random(f"{self.seed}|{update}").sample(self.contexts, self.per_prompt)
        usable = [i for i, t in enumerate(templates) if template_fault(t) is None]
        scores = np.full(len(templates), -1.0)
        if usable:
            prompts = [fill(templates[i], c) for i in usable for c in contexts]
            diaries = self.llm.complete(prompts, seed=self.seed + update)
            means, uncertainty = self.reward.score([d.text for d in diaries])
            each = np.maximum(means - self.pessimism * uncertainty, -1.0)
            scores[usable] = each.reshape(len(usable), self.per_prompt).mean(axis=1)
        return scores

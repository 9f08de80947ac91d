"""The writers of prompts side by side: how many of their answers are of use, and how those score."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from components.propose_prompts.challengers import fresh
from components.propose_prompts.checks import CHECKS, REQUIRED, Shown, passed, usable
from components.propose_prompts.writing import unwrapped
from memozy.llm import Completion

CONFIDENCE = 0.95
MOST_FAILURES = 3  # shown of each source


@dataclass(frozen=True)
class Source:
    """Where prompts come from: a policy or a writer, by name.

    model: what it is. answers: one for every prompt asked for, a failed call's too. shown: what it had seen.
    known: prompts that are no news.
    """

    name: str
    model: str
    answers: Sequence[Completion]
    shown: Shown
    known: Sequence[str]

    @cached_property
    def prompts(self) -> list[str]:
        """What was answered, unwrapped; empty where nothing was."""
        return [unwrapped(answer.text) for answer in self.answers]

    @cached_property
    def usable(self) -> list[str]:
        """The prompts that can be used, repeated ones as often as they came."""
        return [prompt for prompt in self.prompts if usable(prompt, self.shown)]

    @cached_property
    def candidates(self) -> list[str]:
        """The usable prompts in their order, each once and none known."""
        return fresh(self.usable, self.known)


def row(source: Source, scores: Mapping[str, float]) -> dict:
    """A source in the table, for JSON. scores: of every candidate, in [-1, 1].

    asked: answers asked for. passed: check -> share of these that pass it. usable: the share that passes all that are
    required. distinct: the share that is left without copies and without what was known. score: [mean, low, high] of
    the candidates, with Student's interval over prompts on the contexts shared by all, for which alone it holds.
    failures: texts with the required checks they fail; of a call that failed why, and no checks.
    """
    found = [passed(p, source.shown) if p else dict.fromkeys(CHECKS, False) for p in source.prompts]
    asked = len(found)
    failures = {(answer.failure or prompt)[:400]: [name for name in REQUIRED if not each[name] and not answer.failure]
                for prompt, answer, each in zip(source.prompts, source.answers, found, strict=True)
                if not all(each[name] for name in REQUIRED)}  # fmt: skip
    scored = sorted(((t, float(scores[t])) for t in source.candidates), key=lambda one: -one[1])
    return {
        "source": source.name, "model": source.model, "asked": asked,
        "passed": {name: sum(each[name] for each in found) / asked for name in CHECKS},
        "usable": len(source.usable) / asked, "distinct": len(source.candidates) / asked,
        "score": interval([score for _, score in scored]), "best": scored[0][1] if scored else None,
        "prompts": [{"text": text, "score": score} for text, score in scored],
        "cost_usd": sum(answer.cost_usd for answer in source.answers),
        "failures": [{"text": text, "checks": names} for text, names in list(failures.items())[:MOST_FAILURES]],
    }  # fmt: skip


def interval(values: Sequence[float]) -> list[float | None]:
    """Mean with Student's 95 % interval; no bounds for one value, nothing for none."""
    from scipy.stats import t

    n = len(values)
    if n == 0:
        return [None, None, None]
    mean = math.fsum(values) / n
    if n == 1:
        return [mean, None, None]
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * sd / math.sqrt(n)
    return [mean, mean - half, mean + half]

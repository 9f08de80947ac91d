"""`prompt/qna`: a prompt is worth what a frozen model's answers by it are worth, as the questions' own verifier says."""

import random
from collections.abc import Mapping, Sequence
from itertools import islice, zip_longest
from typing import NamedTuple

import numpy as np

from memozy.choices import Choices, choice_probabilities
from memozy.environments import Scored, StartStates, asked
from memozy.environments.hygiene import prompt_fault, secrets_of
from memozy.llm import ChatModel, LocalChat
from memozy.modeling import LanguageModel
from memozy.qna import QNA_SLOTS, REWARDS, fill_question, verify

KINDS = tuple(REWARDS)  # correct, abstained (needlessly), wrong, unreadable


class Answers(NamedTuple):
    """How P templates have Q questions answered. kinds: [P, Q, 4], the probability of each of KINDS. readable: [P, Q],
    that an answer names a choice at all, or for a model in this process, that it begins with a choice's label."""

    kinds: np.ndarray
    readable: np.ndarray


class PromptQnA:
    """Responses are prompt templates for `per_prompt` questions that all prompts of an update share.

    A model in this process is never made to write: its score is the expected reward Σ p(choice) · reward, with p from the
    likelihoods of the choices' labels: their `answers`, "numbers" or "texts". It costs nothing, so after a kill it is computed again. An endpoint's answers
    are written, verified and kept in the ledger. An abstention is right where the context doesn't tell (+1), needless
    elsewhere (0), and better than a wrong answer (-1). A template with a fault scores as if all were unreadable (-1); the
    choices' texts are secrets, but for those that mean «unknown».
    """

    def __init__(self, llm: ChatModel, questions: Sequence[Mapping], per_prompt: int, queries: Sequence[str], seed: int,
                 starts: StartStates, answers: str = "numbers") -> None:  # fmt: skip
        self.labels = answers
        self.llm, self.questions, self.per_prompt, self.seed = llm, list(questions), per_prompt, seed
        self.queries, self.starts = list(queries), starts
        self.secrets = secrets_of(c for q in questions for i, c in enumerate(q["choices"]) if i != q["abstain"])
        self.update = 0

    def reset(self, update: int, n: int) -> list[str]:
        """See Environment. The policy's queries in turn, or an adversarial one."""
        self.update = update
        return asked(self.queries, update, n, self.starts)

    def score(self, queries: Sequence[str], responses: Sequence[str]) -> Scored:
        """See Environment. info, too: `accuracy`, `abstained`, the same among the update's questions that are ambiguous
        and those that are not (nan where there are none), and `readable`."""
        questions = draw(self.questions, self.per_prompt, random.Random(f"{self.seed}|{self.update}"))
        faults = [prompt_fault(t, q, QNA_SLOTS, self.secrets) for q, t in zip(queries, responses, strict=True)]
        usable = [i for i, fault in enumerate(faults) if fault is None]
        kinds = np.zeros((len(responses), len(questions), len(KINDS)))
        kinds[..., KINDS.index("unreadable")] = 1.0
        readable = np.zeros(kinds.shape[:2])
        if usable:
            kinds[usable], readable[usable] = self.answers([responses[i] for i in usable], questions)
        scores = (kinds @ np.array([REWARDS[kind] for kind in KINDS])).mean(axis=1)
        ambiguous = np.array([q["answer"] == q["abstain"] for q in questions])
        correct, needless = (kinds[..., KINDS.index(kind)] for kind in ("correct", "abstained"))
        abstained = np.where(ambiguous, correct, needless)  # [B, Q]
        return Scored(scores, {
            "proxy": scores,
            "fault": np.array([fault is not None for fault in faults], float),
            "accuracy": correct.mean(axis=1),
            "abstained": abstained.mean(axis=1),
            "abstained_ambiguous": _mean(abstained[:, ambiguous]),
            "abstained_disambiguated": _mean(abstained[:, ~ambiguous]),
            "readable": readable.mean(axis=1),
        })  # fmt: skip

    def answers(self, templates: Sequence[str], questions: Sequence[Mapping]) -> Answers:
        """What comes of any templates and questions, held-back ones too. questions: as `read_questions` gives them."""
        if isinstance(self.llm, LocalChat):
            p, mass = evaluate(self.llm.lm, templates, questions, self.labels)
            return Answers(kinds_of(p, questions), mass)
        prompts = [fill_question(t, q) for t in templates for q in questions]
        written = self.llm.complete(prompts, seed=self.seed + self.update)
        verdicts = [verify(w.text, q) for w, q in zip(written, [*questions] * len(templates), strict=True)]
        kinds = np.array([[v.kind == kind for kind in KINDS] for v in verdicts], float)
        kinds = kinds.reshape(len(templates), len(questions), len(KINDS))
        return Answers(kinds, 1.0 - kinds[..., KINDS.index("unreadable")])


def evaluate(
    lm: LanguageModel, templates: Sequence[str], questions: Sequence[Mapping], answers: str = "numbers"
) -> Choices:
    """How likely `lm` is to answer each question with each choice, when each template asks it.

    answers: "numbers", as `fill_question` puts them before the choices, or "texts", the choices' own.
    """
    prompts = [[fill_question(t, q) for q in questions] for t in templates]
    texts = answers == "texts"
    labels = [[c if texts else str(i) for i, c in enumerate(q["choices"], start=1)] for q in questions]
    return choice_probabilities(lm, prompts, labels)


def kinds_of(p: np.ndarray, questions: Sequence[Mapping]) -> np.ndarray:
    """Probabilities of choices [P, Q, C] -> of KINDS [P, Q, 4]; every choice can be read."""
    kinds = np.zeros((*p.shape[:2], len(KINDS)))
    for q, question in enumerate(questions):
        for i in range(len(question["choices"])):
            said = "correct" if i == question["answer"] else "abstained" if i == question["abstain"] else "wrong"
            kinds[:, q, KINDS.index(said)] += p[:, q, i]
    return kinds


def draw(questions: Sequence[Mapping], n: int, rng: random.Random) -> list[Mapping]:
    """`n` of the questions in random order, from as many groups as there are: none comes again before every other has."""
    groups: dict[str, list[Mapping]] = {}
    for question in rng.sample(list(questions), len(questions)):
        groups.setdefault(question["group_id"], []).append(question)
    rounds = zip_longest(*groups.values())  # one question of every group, as long as there are any
    return list(islice((question for each in rounds for question in each if question is not None), n))


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the second axis; nan where it is empty."""
    return values.mean(axis=1) if values.shape[1] else np.full(len(values), np.nan)

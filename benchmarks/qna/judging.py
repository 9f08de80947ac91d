"""Train a policy that writes prompts for questions, and judge its prompts on questions that it never met."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.train_ppo.config import Config as PPO
from components.train_ppo.stage import run as train_ppo
from components.train_reward.metrics import clustered_se
from components.train_sft.config import Config as SFT
from components.train_sft.config import Quality
from components.train_sft.stage import run as train_sft
from memozy import policies
from memozy.environments.config import EnvironmentConfig
from memozy.environments.hygiene import prompt_fault
from memozy.environments.prompt_qna import KINDS, PromptQnA
from memozy.llm import LLMConfig
from memozy.qna import QNA_SLOTS, REWARDS
from memozy.records import QUERIES, read_jsonl

DATA = Path(__file__).resolve().parents[2] / "data"
TOKENS = 96  # of a prompt, at most
FOUND = ("by_hand", "sft", "ppo")
MEASURES = ("reward", "accuracy", "abstains, untold", "abstains, told", "readable")


class Judged(NamedTuple):
    """What P prompts make of Q questions: each of MEASURES [P, Q], nan where a question has no part in it; faulty [P]."""

    values: dict[str, np.ndarray]
    faulty: np.ndarray

    def mean(self, measure: str) -> float:
        return float(np.nanmean(self.values[measure]))


def trained(
    environment: EnvironmentConfig, llm: LLMConfig, seed: int, folder: Path, updates: int, rollouts: int
) -> None:
    """SFT, then PPO: the policies `folder`/sft and `folder`/ppo."""
    for name in ("work-sft", "work-ppo"):
        (folder / name).mkdir()
    sft = SFT(model=str(DATA / "models/qna_policy"), instructions=str(DATA / "qna_instructions.jsonl"),
              quality=Quality(slots=QNA_SLOTS), steps=40, seed=seed)  # fmt: skip
    train_sft(sft, kept=None, sft=folder / "sft", quarantined=folder / "quarantined", work=folder / "work-sft")
    ppo = PPO(environment=environment, llm=llm, updates=updates, rollouts=rollouts, max_new_tokens=TOKENS, epochs=4,
              mini_batches=4, learning_rate=6e-4, compared=2, seed=seed)  # fmt: skip
    train_ppo(ppo, start=folder / "sft", policy=folder / "ppo", curves=folder / "curves", samples=folder / "samples",
              ppo_report=folder / "ppo.html", work=folder / "work-ppo")  # fmt: skip


def prompts_of(policy: Path, n: int, seed: int) -> list[tuple[str, str]]:
    """`n` of (query, prompt template), the policy's queries in turn."""
    queries = read_jsonl(policy / "queries.jsonl", QUERIES)["query"].to_list()
    written = policies.sample(policy, n, max_new_tokens=TOKENS, temperature=1.0, seed=seed)
    return [(queries[i % len(queries)], template) for i, template in enumerate(written)]


def judge(environment: PromptQnA, prompts: Sequence[tuple[str, str]], questions: Sequence[Mapping]) -> Judged:
    """Prompts with a fault are not asked; their answers count as unreadable."""
    faulty = np.array([prompt_fault(t, q, QNA_SLOTS, environment.secrets) is not None for q, t in prompts])
    kinds = np.tile(np.array([kind == "unreadable" for kind in KINDS], float), (len(prompts), len(questions), 1))
    readable = np.zeros(kinds.shape[:2])  # [P, Q]
    if not faulty.all():
        kinds[~faulty], readable[~faulty] = environment.answers(
            [t for (_, t), bad in zip(prompts, faulty, strict=True) if not bad], questions
        )
    untold = np.array([q["answer"] == q["abstain"] for q in questions])
    correct, needless = (kinds[..., KINDS.index(kind)] for kind in ("correct", "abstained"))
    values = (kinds @ np.array([REWARDS[kind] for kind in KINDS]), correct, np.where(untold, correct, np.nan),
              np.where(untold, np.nan, needless), readable)  # fmt: skip
    return Judged(dict(zip(MEASURES, values, strict=True)), faulty)


def difference(measure: str, ours: Judged, theirs: Judged | None, clusters: Sequence[str]) -> tuple[float, float]:
    """Mean of `ours`, less that of `theirs` on the same questions, and its standard error."""
    sides = [each.values[measure] for each in (ours, theirs) if each is not None]  # [P, Q] each
    within = ~np.isnan(sides[0][0])  # [Q]
    columns = [side[:, within].mean(axis=0) for side in sides]
    apart = columns[0] - columns[1] if theirs else columns[0]
    of_prompts = sum(side[:, within].mean(axis=1).var(ddof=1) / len(side) for side in sides if len(side) > 1)
    error = clustered_se(apart, [c for c, inside in zip(clusters, within, strict=True) if inside])
    return float(apart.mean()), float(np.sqrt(error**2 + of_prompts))


def compared(environment: PromptQnA, folder: Path, hand_written: str, prompts: int, questions: Sequence[Mapping],
             clusters: Sequence[str], seed: int) -> dict[str, Judged]:  # fmt: skip
    """Judge all of FOUND and print the table."""
    written = {"by_hand": [("", hand_written)]}
    written |= {name: prompts_of(folder / name, prompts, seed) for name in ("sft", "ppo")}
    found = {name: judge(environment, written[name], questions) for name in FOUND}
    print(f"{'prompts':<12}" + "".join(f"{m:>20}" for m in MEASURES) + f"{'faulty':>8}")
    for name, told in found.items():
        cells = (difference(m, told, None, clusters) for m in MEASURES)
        print(
            f"{name:<12}"
            + "".join(f"{f'{mean:.3f} ± {se:.3f}':>20}" for mean, se in cells)
            + f"{told.faulty.mean():>8.2f}"
        )
    for other in ("sft", "by_hand"):
        cells = (difference(m, found["ppo"], found[other], clusters) for m in MEASURES)
        print(
            f"{f'ppo - {other}':<13}"
            + "".join(f"{f'{mean:+.3f} ± {se:.3f}':>20}" for mean, se in cells).removeprefix(" ")
        )
    print(f"by PPO, for example: {written['ppo'][0][1]}", flush=True)
    return found

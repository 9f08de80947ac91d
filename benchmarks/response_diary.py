"""Diaries written by the policy itself: SFT, rejection sampling, DPO and PPO on one backbone, by what a rater would say.

    python -m benchmarks.response_diary [--seeds 3] [--rated 600]

The micro-world's `assistant` (or its `writer`, where that is not there) answers one mediocre prompt. Every seed has
contexts, rated diaries and draws of its own. A reward model learns from all rated diaries; SFT from the good ones, as
answers to the prompt. From the SFT policy start rejection sampling (k samples, best ones taught by SFT), DPO (best
against worst of the same samples) and PPO. All answer the same held-back contexts with the same random numbers; the true
rating is that of the micro-world's rater without bias or noise, whom no training has seen.

Columns: true mean rating; score by the reward model; KL to the SFT policy, nats a diary; CPU seconds of what follows SFT
(for SFT its own); and what it cost elsewhere: nats a token on diaries that obey any other instructions, and, with the
assistant, the chance of the right answer to held-back questions under a good prompt. Prints a row per policy, and one
line of JSON: by seed the paired difference in true rating of PPO and SFT with its standard error over contexts.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch

from components.sample_and_filter.config import Config as Sampling
from components.sample_and_filter.stage import run as sample_and_filter
from components.train_dpo.config import Config as DPO
from components.train_dpo.stage import run as train_dpo
from components.train_ppo.config import Config as PPO
from components.train_ppo.stage import run as train_ppo
from components.train_reward.config import Config as Reward
from components.train_reward.stage import run as train_reward
from components.train_sft.config import Config as SFT
from components.train_sft.config import Quality
from components.train_sft.stage import run as train_sft
from memozy import policies
from memozy.environments.config import EnvironmentConfig
from memozy.environments.prompt_qna import evaluate, kinds_of
from memozy.fine_tuning import reply_logprobs
from memozy.generation import generate
from memozy.ledger import IN_MEMORY, open_ledger
from memozy.modeling import LanguageModel
from memozy.records import ARMS, OVERSAMPLED, fill, read_jsonl, write, write_jsonl
from memozy.reward import RewardModel
from memozy.weights import Weights
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions
from microworld.qna_instructions import GOOD, qna_template
from microworld.questions import places, sample_questions
from microworld.raters import Rater, true_rating
from microworld.writer import write_diary
from pipelines.tiny_diary import corpus

DATA = Path(__file__).resolve().parent.parent / "data"
EVALUATED = 400  # held-back contexts, one diary each
RANK, TOKENS = 16, 96
FOUND = ("base", "sft", "rejection", "dpo", "ppo")


def world(seed: int, rated: int, folder: Path) -> list[dict]:
    """Write one seed's contexts, rated diaries and demonstrations; -> the contexts held back."""
    rng = random.Random(seed)
    contexts = sample_contexts(rated + EVALUATED, 1000 + seed)
    known, held_back = contexts[:rated], contexts[rated:]
    people = [Rater(f"r{i}", rng.gauss(0, 0.1), 0.35, 0.02) for i in range(5)]
    rows = []
    for n, context in enumerate(known):
        text = write_diary(sample_instructions(rng, 0.5, 0.15), context, rng)
        rating = rng.choice(people).rate(text, context, f"{seed}|{n}")
        rows.append({"diary_id": f"d{n}", "group_id": context["context_id"], "context_id": context["context_id"], "text": text,
                     "rating": rating, "n_raters": 1, "split": "test" if n % 6 == 0 else "train", "copies": 1})  # fmt: skip
    write(pl.DataFrame(rows), folder / "oversampled", OVERSAMPLED)
    write_jsonl(known, folder / "contexts.jsonl")
    template = read_jsonl(DATA / "prompts.jsonl", ARMS)["template"][0]
    good = [(c, r["text"]) for c, r in zip(known, rows, strict=True) if r["split"] == "train" and r["rating"] >= 0.5]
    demonstrations = ({"instruction": fill(template, c), "input": "", "output": text} for c, text in good)
    write_jsonl(demonstrations, folder / "demonstrations.jsonl")
    return held_back


class Judged:
    """What held-back contexts, texts and questions say of any policy of a seed."""

    def __init__(self, seed: int, held_back: list[dict], reward: Path, questions: bool) -> None:
        template = read_jsonl(DATA / "prompts.jsonl", ARMS)["template"][0]
        self.seed, self.contexts, self.reward = seed, held_back, RewardModel.load(reward)
        self.prompts = [fill(template, c) for c in held_back]
        self.corpus = corpus(200, 5000 + seed)
        self.questions, rng = [], random.Random(seed)
        if questions:
            rows = sample_questions(72, 7000 + seed, held=True)
            self.questions = [dict(row, answer=places(row)[0], abstain=places(row)[1]) for row in rows]
            self.templates = [qna_template(GOOD, rng) for _ in range(3)]

    def measures(self, lm: LanguageModel, sft: LanguageModel) -> dict[str, np.ndarray | float]:
        """`true`: of each context, [N]; means of the others."""
        ids = [lm.chat_ids(p) for p in self.prompts]
        rng = torch.Generator().manual_seed(self.seed)
        replies = generate(lm, ids, max_new_tokens=TOKENS, temperature=1.0, rng=rng).tokens
        texts = [lm.text(tokens) for tokens in replies]
        with torch.no_grad():
            kl = (reply_logprobs(lm, ids, replies, 64) - reply_logprobs(sft, ids, replies, 64)).mean().item()
            other = [lm.reply_ids(diary) for _, _, diary in self.corpus]
            nats = -reply_logprobs(lm, [lm.chat_ids(p) for _, p, _ in self.corpus], other, 64).sum().item()
        told = {
            "true": np.array([true_rating(t, c) for t, c in zip(texts, self.contexts, strict=True)]),
            "score": float(self.reward.score(texts)[0].mean()), "kl": kl, "nats": nats / sum(map(len, other)),
        }  # fmt: skip
        if self.questions:
            p, _ = evaluate(lm, self.templates, self.questions, "texts")
            told["qna"] = float(kinds_of(p, self.questions)[..., 0].mean())
        return told


def policies_of(seed: int, base: Path, folder: Path, updates: int) -> tuple[dict[str, Path], dict[str, float]]:
    """Train every policy by the stages' own run functions. -> (their folders, CPU seconds of what follows SFT)."""
    environment = EnvironmentConfig(task="response/diary", contexts=str(folder / "contexts.jsonl"), n_contexts=400,
                                    prompts=str(DATA / "prompts.jsonl"))  # fmt: skip
    reward, gold, sft = folder / "reward", folder / "gold", folder / "sft"
    cpu: dict[str, float] = {}

    def timed(name: str, stage: Callable, config, **artifacts) -> None:
        began = time.process_time()
        work = folder / f"work-{len(list(folder.glob('work-*')))}"
        work.mkdir()
        stage(config, work=work, **artifacts)
        cpu[name] = cpu.get(name, 0.0) + time.process_time() - began

    def teach(name: str, model: Path, instructions: str) -> None:
        config = SFT(model=str(model), instructions=str(folder / instructions), quality=Quality(slots=()), steps=40,
                     learning_rate=1e-3, lora_rank=RANK, seed=seed)  # fmt: skip
        timed(name, train_sft, config, kept=None, sft=folder / name, quarantined=folder / f"{name}-quarantined")

    config = Reward(candidates=("constant", "ensemble"), folds=3, repeats=1, bootstrap=200, seed=seed)
    timed("reward", train_reward, config, oversampled=folder / "oversampled", reward=reward, gold=gold,
          reward_report=folder / "reward.html")  # fmt: skip
    teach("sft", base, "demonstrations.jsonl")
    sampling = Sampling(
        model=str(sft), environment=environment, n_queries=160, samples=8, keep=2, max_new_tokens=TOKENS, seed=seed
    )
    timed("sampling", sample_and_filter, sampling, reward=reward, kept=folder / "kept.jsonl", pairs=folder / "pairs.jsonl")
    teach("rejection", sft, "kept.jsonl")
    timed("dpo", train_dpo, DPO(environment=environment, steps=40, seed=seed), sft=sft, oversampled=None,
          pairs=folder / "pairs.jsonl", dpo=folder / "dpo")  # fmt: skip
    config = PPO(
        environment=environment,
        updates=updates,
        rollouts=64,
        max_new_tokens=TOKENS,
        kl_coef=0.03,
        compared=4,
        seed=seed,
    )
    timed("ppo", train_ppo, config, start=sft, reward=reward, gold=gold, policy=folder / "ppo", curves=folder / "curves",
          samples=folder / "samples", ppo_report=folder / "ppo.html")  # fmt: skip
    for name in ("rejection", "dpo"):
        cpu[name] += cpu["sampling"]
    return {name: base if name == "base" else folder / name for name in FOUND}, cpu | {"base": 0.0}


def one(seed: int, base: Path, rated: int, updates: int) -> dict[str, dict]:
    """One seed: name of the policy -> its measures, CPU seconds among them."""
    with tempfile.TemporaryDirectory() as scratch, open_ledger(IN_MEMORY):
        folder = Path(scratch)
        held_back = world(seed, rated, folder)
        found, cpu = policies_of(seed, base, folder, updates)
        judged = Judged(seed, held_back, folder / "reward", questions=base.name == "assistant")
        sft = policies.load(found["sft"]).lm
        rows = {
            name: judged.measures(policies.start(str(path), Weights(), RANK, 0).lm, sft) for name, path in found.items()
        }
        return {name: row | {"cpu": cpu[name]} for name, row in rows.items()}


def gain(row: dict, against: dict) -> tuple[float, float]:
    """Mean paired difference in true rating, and its standard error over contexts."""
    difference = row["true"] - against["true"]
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.response_diary", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rated", type=int, default=600, help="diaries that raters have seen")
    parser.add_argument("--updates", type=int, default=24, help="of PPO")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    base = next(folder for folder in (DATA / "models/assistant", DATA / "models/writer") if folder.is_dir())
    seeds = []
    for seed in range(asked.seeds):
        rows = one(seed, base, asked.rated, asked.updates)
        seeds.append(rows)
        print(f"\nseed {seed}, from {base.name}\n{'policy':<11}{'true':>7}{'- SFT':>8}{'± se':>7}{'score':>8}{'KL':>7}{'nats/token':>12}"
              f"{'QnA':>7}{'CPU s':>8}")  # fmt: skip
        for name, row in rows.items():
            mean, error = gain(row, rows["sft"])
            qna = f"{row['qna']:.3f}" if "qna" in row else "-"
            print(f"{name:<11}{row['true'].mean():>7.3f}{mean:>+8.3f}{error:>7.3f}{row['score']:>8.3f}{row['kl']:>7.2f}{row['nats']:>12.3f}"
                  f"{qna:>7}{row['cpu']:>8.1f}", flush=True)  # fmt: skip
    sigmas = [gain(rows["ppo"], rows["sft"]) for rows in seeds]
    numbers = {"name": "response_diary", "base": base.name, "seeds": asked.seeds,
               "ppo_beats_sft": sum(mean > 2 * error for mean, error in sigmas),
               "ppo_gain_min": round(min(mean for mean, _ in sigmas), 3), "ppo_se_max": round(max(error for _, error in sigmas), 3)}  # fmt: skip
    for name in FOUND:
        for key in ("true", "score", "kl", "nats", "qna", "cpu"):
            values = [float(np.mean(rows[name][key])) for rows in seeds if key in rows[name]]
            numbers |= {f"{name}_{key}": round(statistics.mean(values), 3)} if values else {}
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()

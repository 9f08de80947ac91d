"""How fast are texts scored? The reward model, and the LoRA sequence model against the pipeline of transformers.

    python -m benchmarks.reward_throughput [--reward FOLDER] [--base FOLDER] [--runs 5] [--texts 400]

The reward model (trained here on micro-world diaries unless one is given) scores diaries it has never seen, the same
diaries again (cache), and new ones of which each stands there four times (deduplication). The sequence model predicts
ragged texts of 20 to 400 tokens, and diaries, in batches sorted by length; its peer is pipeline("text-classification")
with its defaults and with batches of 16, on the same weights merged. Runs are paired and alternate in order; a ratio is
the median over runs of their seconds a text by ours, wall or CPU: above 1 where we are faster.
"""

import argparse
import copy
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions
from microworld.raters import true_rating
from microworld.writer import write_diary

BATCHED = "pipeline, batches of 16"
Runs = list[tuple[float, float]]  # wall and CPU seconds a text, of each run


def diaries(n: int, seed: int) -> list[tuple[str, dict]]:
    """n distinct micro-world diaries with their contexts."""
    rng, found = random.Random(seed), {}
    for context in sample_contexts(3 * n, seed):
        found.setdefault(write_diary(sample_instructions(rng, 0.5, 0.15), context, rng), context)
    return list(found.items())[:n]


def trained_reward(folder: Path) -> Path:
    """A reward model of 300 micro-world diaries, by the stage."""
    import polars as pl

    from memozy.records import OVERSAMPLED, write
    from memozy.stages import execute

    rows = pl.DataFrame([
        {"diary_id": f"d{i}", "group_id": c["context_id"], "context_id": c["context_id"], "text": t,
         "rating": true_rating(t, c), "n_raters": 1, "split": "test" if i % 6 == 0 else "train", "copies": 1}
        for i, (t, c) in enumerate(diaries(300, seed=5))
    ])  # fmt: skip
    write(rows, folder / "oversampled", OVERSAMPLED)
    os.environ["MEMOZY_RUN_DIR"] = str(folder)  # so that nothing of it goes to MLflow
    execute("train_reward", {"folds": 3, "repeats": 1, "bootstrap": 100}, {"oversampled": str(folder / "oversampled")},
            {"reward": str(folder / "reward")})  # fmt: skip
    return folder / "reward"


def trained_sequence(base: str):
    """A sequence model of 64 micro-world diaries: what it says need not be good, only as much work as any other."""
    from components.train_reward.config import Lora
    from components.train_reward.lora import train_regression

    known = diaries(64, seed=7)
    ratings = np.array([true_rating(t, c) for t, c in known])
    return train_regression([t for t, _ in known], ratings, np.ones(64), Lora(base=base, epochs=1), seed=0)


def ragged(tokenizer, n: int) -> list[str]:
    """n texts of 20 to 400 tokens, lengths drawn evenly: diaries one after another, cut."""
    rng, parts, texts = random.Random(0), [t for t, _ in diaries(400, seed=23)], []
    for _ in range(n):
        text = " ".join(rng.choices(parts, k=40))
        ends = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        texts.append(text[: ends[rng.randint(20, 400) - 1][1]].strip())
    return texts


def timed(work: Callable[[], object], n: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) / n, (time.process_time() - cpu) / n


def time_reward(folder: Path, runs: int, n: int) -> dict[str, Runs]:
    """By what was asked of the reward model."""
    from memozy.reward import RewardModel

    model = RewardModel.load(folder)
    texts = [t for t, _ in diaries((runs + 1) * (n + n // 4), seed=11)]
    taken: dict[str, Runs] = {"new": [], "again": [], "each 4 times": []}
    for run in range(runs + 1):
        new = [texts.pop() for _ in range(n)]
        copies = [texts.pop() for _ in range(n // 4)] * 4
        random.Random(run).shuffle(copies)
        for name, asked in (("new", new), ("again", new), ("each 4 times", copies)):
            taken[name].append(timed(lambda asked=asked: model.score(asked), len(asked)))
    return {name: seconds[1:] for name, seconds in taken.items()}  # the first warms up


def time_sequence(scorer, texts: list[str], runs: int) -> tuple[dict[str, Runs], float]:
    """By who says it; and the largest difference between what they say."""
    from transformers import pipeline

    peer = pipeline("text-classification", model=copy.deepcopy(scorer.model).unload(),
                    tokenizer=copy.deepcopy(scorer.tokenizer), function_to_apply="none")  # fmt: skip
    closed = [t + (scorer.tokenizer.eos_token or "") for t in texts]  # as the scorer closes them
    theirs = scorer.offset + scorer.scale * np.array([r["score"] for r in peer(closed)])
    apart = float(np.abs(scorer.predict(texts) - theirs).max())
    ways = {
        "ours": lambda: scorer.predict(texts),
        "pipeline": lambda: peer(closed),
        BATCHED: lambda: peer(closed, batch_size=16),
    }
    taken: dict[str, Runs] = {name: [] for name in ways}
    for run in range(runs):
        for name in list(ways)[:: -1 if run % 2 else 1]:
            taken[name].append(timed(ways[name], len(texts)))
    return taken, apart


def ratio(ours: Runs, theirs: Runs, of: int) -> float:
    """Median over paired runs of their seconds by ours; of: 0 wall, 1 CPU."""
    return round(statistics.median(t[of] / o[of] for o, t in zip(ours, theirs, strict=True)), 2)


def speed(runs: Runs) -> float:
    return round(1 / statistics.median(wall for wall, _ in runs), 1)


def table(title: str, taken: dict[str, Runs], peer: str) -> None:
    print(f"\n{title:<38}{'texts/s':>10}{'CPU ms/text':>13}   by «{peer}»: wall, CPU")
    for name, runs in taken.items():
        wall, cpu = (ratio(runs, taken[peer], of) for of in (0, 1))
        print(f"  {name:<36}{speed(runs):>10.1f}{1000 * statistics.median(cpu for _, cpu in runs):>13.3f}"
              f"{wall:>16.2f} ×{cpu:>7.2f} ×")  # fmt: skip


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reward", type=Path, help="the folder of a trained reward model")
    parser.add_argument("--base", default="data/models/writer", help="the base of the sequence model")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--texts", type=int, default=400, help="diaries a run; of the ragged texts a quarter of it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        reward = time_reward(args.reward or trained_reward(Path(scratch)), args.runs, args.texts)
    scorer = trained_sequence(args.base)
    long, long_apart = time_sequence(scorer, ragged(scorer.tokenizer, args.texts // 4), args.runs)
    short, short_apart = time_sequence(scorer, [t for t, _ in diaries(args.texts, seed=31)], args.runs)
    apart = max(long_apart, short_apart)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"
    print(f"{args.runs} paired runs, {device}; sequence model and pipeline say at most {apart:.1e} apart")
    table("reward model, diaries", reward, "new")
    table("sequence model, 20 to 400 tokens", long, "pipeline")
    table("sequence model, diaries", short, "pipeline")
    print(json.dumps({
        "name": "reward_throughput", "peer": "transformers pipeline, defaults", "unit": "texts/s",
        "ratio": ratio(long["ours"], long["pipeline"], 0), "cpu_ratio": ratio(long["ours"], long["pipeline"], 1),
        "ours": speed(long["ours"]), "theirs": speed(long["pipeline"]),
        "ratio_to_batched": ratio(long["ours"], long[BATCHED], 0),
        "diaries_ratio": ratio(short["ours"], short["pipeline"], 0), "diaries_ours": speed(short["ours"]),
        "reward": speed(reward["new"]), "reward_cache_ratio": ratio(reward["again"], reward["new"], 0),
        "reward_deduplication_ratio": ratio(reward["each 4 times"], reward["new"], 0), "apart": apart,
    }))  # fmt: skip


if __name__ == "__main__":
    main()

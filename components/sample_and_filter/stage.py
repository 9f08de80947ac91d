"""Stage `sample_and_filter`: a policy answers every query several times, and its best answers become data to learn from."""

import json
from pathlib import Path

import torch

from components.sample_and_filter.config import Config
from components.sample_and_filter.selection import Sample, best, contrasts, expected_at_random
from memozy import policies
from memozy.environments import FLOOR, Environment, open_environment
from memozy.generation import generate
from memozy.modeling import LanguageModel
from memozy.records import QUERIES, InputError, read_jsonl, write_jsonl
from memozy.reward import RewardModel, ScoreCache
from memozy.stages import OptionalIn, Out, Progress, Result, Work


def run(config: Config, *, reward: OptionalIn, kept: Out, pairs: Out, work: Work) -> Result:
    """Sample and score; write the best as `kept` (JSONL of INSTRUCTIONS), and `pairs` {prompt, chosen, rejected, margin},
    the best answer to a query against the worst.

    A response that runs out of tokens scores -1 and is never kept. Killed, it goes on after the last whole batch.
    metrics: `score_random` is what those kept would score on average, had one of every k been taken at random.
    Raises InputError when nothing is good enough to be kept, or as `open_environment` and `policies.start` do.
    """
    if not config.enabled:
        write_jsonl([], kept)
        write_jsonl([], pairs)
        return Result()
    policy = policies.start(config.model, config.weights, rank=1, seed=config.seed)  # an adapter that changes nothing
    queries = policy.queries
    if not queries and config.environment.task != "response/diary":
        queries = read_jsonl(config.queries, QUERIES)["query"].to_list()
    judge = RewardModel.load(reward, ScoreCache(work / "scores.sqlite")) if reward else None
    environment = open_environment(config.environment, config.llm, queries, config.seed, judge)
    samples = _sample(config, policy.lm, environment, work / "samples.jsonl")
    chosen = best(samples, config.keep, config.least_score, config.diversity)
    if not chosen:
        highest = max(s.score for s in samples)
        raise InputError(f"none of {len(samples)} responses is finished, faultless and as good; the best scores {highest:.2f}",
                         field="sampling.least_score", value=config.least_score,
                         remedy="Lower it, draw more samples, or start from a model that knows the task")  # fmt: skip
    compared = contrasts(samples, config.margin)
    write_jsonl(({"instruction": s.query, "input": "", "output": s.response} for s in chosen), kept)
    write_jsonl(({"prompt": a.query, "chosen": a.response, "rejected": b.response, "margin": a.score - b.score}
                 for a, b in compared), pairs)  # fmt: skip
    return Result({
        "samples": len(samples), "kept": len(chosen), "pairs": len(compared),
        "score_samples": sum(s.score for s in samples) / len(samples),
        "score_random": expected_at_random(samples, chosen),
        "score_kept": sum(s.score for s in chosen) / len(chosen),
        "faulty": sum(s.fault for s in samples) / len(samples),
        "finished": sum(s.finished for s in samples) / len(samples),
        "distinct": len({s.response for s in samples}) / len(samples),
    })  # fmt: skip


def _sample(config: Config, lm: LanguageModel, environment: Environment, file: Path) -> list[Sample]:
    """`samples` responses to each query, query by query; every batch is in `file` before the next one."""
    queries = environment.reset(0, config.n_queries)
    asked = [(group, query) for group, query in enumerate(queries) for _ in range(config.samples)]
    ids = {query: lm.chat_ids(query) for query in set(queries)}
    lines = _whole_batches(file, config.batch_size, len(asked))
    progress = Progress("sample_and_filter", len(asked), "samples", start=len(lines))
    for start in range(len(lines), len(asked), config.batch_size):
        rows = slice(start, start + config.batch_size)
        replies = generate(lm, [ids[query] for _, query in asked], max_new_tokens=config.max_new_tokens,
                           temperature=config.temperature, rng=torch.Generator().manual_seed(config.seed),
                           batch_size=config.batch_size, rows=rows)  # fmt: skip
        texts = [lm.text(tokens) for tokens in replies.tokens]
        scores, info = environment.score([query for _, query in asked[rows]], texts)
        batch = [
            Sample(group, query, text, float(score) if finished else FLOOR, finished, bool(fault))
            for (group, query), text, score, finished, fault in zip(
                asked[rows], texts, scores, replies.finished, info["fault"], strict=True
            )
        ]
        added = [json.dumps(s, ensure_ascii=False) + "\n" for s in batch]
        with open(file, "a", encoding="utf-8") as out:
            out.write("".join(added))
        lines += added
        progress.advance(len(batch), score=sum(s.score for s in batch) / len(batch))
    return [Sample(*json.loads(line)) for line in lines]


def _whole_batches(file: Path, size: int, total: int) -> list[str]:
    """The lines that are there, without those of a batch that was being written when the process was killed."""
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    whole = lines if len(lines) == total else lines[: len(lines) // size * size]
    if file.exists():
        with open(file, "r+b") as kept:
            kept.truncate(sum(map(len, whole)))
    return [line.decode() for line in whole]

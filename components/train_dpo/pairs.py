"""What was preferred to what, and in answer to which prompt: one frame of PAIRS, whichever source they come from."""

import random
from collections import Counter
from pathlib import Path

import polars as pl

from components.train_dpo.config import Config
from memozy.environments.config import EnvironmentConfig
from memozy.preferences import pairs_from_ratings, place_pairs, read_pairs
from memozy.records import ARMS, CONTEXTS, HUMAN, OVERSAMPLED, PAIRS, InputError, check_template, fill, read, read_jsonl
from memozy.texts import connected, normalise

MANY = 10  # prompts from which whole prompts are held out, and not pairs of each


def gather(config: Config, oversampled: Path | None, sampled: Path | None) -> pl.DataFrame:
    """The PAIRS of the configured source, each with its prompt; none of them from, or linked to, a test row of `oversampled`.

    Raises InputError where the source is not there, or a pair says neither its prompt nor a known context.
    """
    if config.source == "ratings":
        return _from_ratings(config, _given(oversampled, "oversampled", config.source))
    if config.source == "sampled":
        file = _given(sampled, "pairs", config.source)
        if not file.stat().st_size:
            raise InputError(
                "holds no pairs", file=file, remedy="Switch sample_and_filter on, or take another dpo.source"
            )
        return _asked(read_pairs(file), config.environment, file)
    pairs = _asked(read_pairs(config.rankings), config.environment, config.rankings)
    if oversampled is None:
        return pairs
    rows = read(oversampled, OVERSAMPLED)
    return place_pairs(pairs, rows.filter(split="train"), rows.filter(split="test"))


def hold_out(pairs: pl.DataFrame, share: float, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(held out, to train on): no text on both sides, nor, where there are MANY groups or more, pairs of one group."""
    n = len(pairs)
    texts = [normalise(text) for text in (*pairs["chosen"], *pairs["rejected"])]
    groups = pairs["group_id"].to_list() if pairs["group_id"].n_unique() >= MANY else [str(i) for i in range(n)]
    parts = connected([[*range(n), *range(n)], texts, groups * 2], [])[:n].tolist()
    sizes = Counter(parts)
    wanted, taken = round(share * n), set()
    for part in random.Random(seed).sample(sorted(sizes), len(sizes)):
        if sizes[part] <= wanted:
            wanted -= sizes[part]
            taken.add(part)
    held = pl.Series([part in taken for part in parts], dtype=pl.Boolean)
    return pairs.filter(held), pairs.filter(~held)


def _given(file: Path | None, artifact: str, source: str) -> Path:
    if file is None:
        raise InputError(
            "its artifact is not there", field="dpo.source", value=source, remedy=f"This source needs '{artifact}'"
        )
    return file


def _from_ratings(config: Config, oversampled: Path) -> pl.DataFrame:
    """Of each context the training texts whose ratings differ by the least margin or more."""
    rows = read(oversampled, OVERSAMPLED).filter(HUMAN).filter(pl.col("split") == "train", pl.len().over("context_id", "split") > 1)
    met = pairs_from_ratings(rows["rating"].to_numpy(), rows["context_id"].to_numpy(), config.seed)
    better, worse = (rows[met[:, side].tolist()] for side in (0, 1))
    pairs = pl.DataFrame({
        "pair_id": better["diary_id"] + ">" + worse["diary_id"], "group_id": better["group_id"],
        "context_id": better["context_id"], "image_id": better["image_id"], "prompt": pl.Series([None] * len(better), dtype=pl.String),
        "chosen": better["text"], "rejected": worse["text"],
    }, schema=PAIRS.dtypes)  # fmt: skip
    apart = (better["rating"] - worse["rating"] >= config.least_margin - 1e-9) & (pairs["chosen"] != pairs["rejected"])
    return _asked(pairs.filter(apart), config.environment, oversampled)


def _asked(pairs: pl.DataFrame, environment: EnvironmentConfig, file: object) -> pl.DataFrame:
    """`pairs` with a prompt each: their own, or else what response/diary asks in their context."""
    if not pairs["prompt"].null_count():
        return pairs
    if environment.task != "response/diary":
        row = pairs["prompt"].is_null().arg_true()[0]
        raise InputError("has no prompt that it answers", file=file, field="prompt", value=f"pair {pairs['pair_id'][row]}",
                         remedy="Give it, or a context_id where environment.task is response/diary")  # fmt: skip
    template = read_jsonl(environment.prompts, ARMS)["template"][0]
    check_template(template, environment.prompts, 1)
    contexts = {c["context_id"]: fill(template, c) for c in read_jsonl(environment.contexts, CONTEXTS).to_dicts()}
    asked = pairs.with_columns(
        prompt=pl.coalesce(
            "prompt", pl.col("context_id").replace_strict(contexts, default=None, return_dtype=pl.String)
        )
    )
    unknown = asked.filter(pl.col("prompt").is_null())
    if len(unknown):
        raise InputError(f"is in none of {environment.contexts}, so nobody knows what {len(unknown)} of {len(pairs)} pairs answer",
                         file=file, field="context_id", value=unknown["context_id"][0],
                         remedy="Name the file these contexts stand in: environment.contexts")  # fmt: skip
    return asked

"""Stage `train_sft`: teaches a policy's adapter to follow the instruction data, once that is fit to be learned from."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from components.train_sft import quality
from components.train_sft.config import Config
from components.train_sft.instructions import Row, read
from memozy.modeling import LanguageModel
from memozy.records import INSTRUCTIONS, InputError, read_jsonl, write_jsonl
from memozy.stages import OptionalIn, Out, Result, Work


def run(config: Config, *, kept: OptionalIn, sft: Out, quarantined: Out, work: Work) -> Result:
    """Read instruction data; write the policy `sft`, and as JSONL the rows that were `quarantined`, each with its reason.

    kept: more rows (JSONL of INSTRUCTIONS) to train on; what is held out is never of them, nor do they repeat it.
    Raises InputError where too many rows are unfit, instructions vary too little, or too few rows are left, all before
    weights are loaded; or where no model can be loaded.
    """
    rows, unreadable = read(config.instructions)
    n_rows = len(rows) + len(unreadable)
    rows, unfit = quality.check(rows, config.quality)
    quality.refuse(n_rows, [*unreadable, *unfit], rows, config.quality, config.instructions)
    if config.enabled:
        _held_out(rows, config)

    from memozy import policies

    policy = policies.start(config.model, config.weights, config.lora_rank, config.seed)
    rows, long = quality.too_long(rows, policy.lm)
    faults = sorted([*unreadable, *unfit, *long], key=lambda fault: fault.row)
    quality.refuse(n_rows, faults, rows, config.quality, config.instructions)
    metrics = {
        "n_rows": n_rows, "n_quarantined": len(faults), "n_instructions": len({r.instruction for r in rows}),
        "evenness": quality.evenness(rows), "n_contradicting": sum(map(len, quality.contradictions(rows))),
    }  # fmt: skip
    curve: list[dict[str, float]] = []
    if config.enabled:
        held_out, train = _held_out(rows, config)
        more = quality.too_long(_kept(kept), policy.lm)[0]
        more = quality.without_copies(more, [*held_out, *train], config.quality.near_duplicate)
        before = _nats(policy.lm, held_out, config)
        curve = _fit(policy.lm, [*train, *more], config, work)
        metrics |= {"n_train": len(train), "n_held_out": len(held_out), "n_kept": len(more),
                    "held_out_loss_before": before, "held_out_loss": _nats(policy.lm, held_out, config)}  # fmt: skip
    if config.enabled or not policy.queries:
        policy.queries = sorted({r.query for r in rows})
    policies.save(policy, sft, _card(config, metrics))
    write_jsonl(map(asdict, faults), quarantined)
    return Result(metrics, curve)


def _held_out(rows: Sequence[Row], config: Config) -> tuple[list[Row], list[Row]]:
    """(held out, to train on), drawn by the seed. Raises InputError where either would be too few."""
    shuffled = random.Random(config.seed).sample(rows, len(rows))
    n = round(config.held_out * len(rows))
    if n < 1 or len(rows) - n < config.batch_size:
        raise InputError(f"holds {len(rows)} rows that can be used: too few to train in batches of {config.batch_size} and hold out "
                         f"{config.held_out:.0%}", file=config.instructions, remedy="Add rows or lower sft.batch_size")  # fmt: skip
    return shuffled[:n], shuffled[n:]


def _kept(kept: Path | None) -> list[Row]:
    """Kept rows may repeat: one answer may be the best to a query more than once."""
    if kept is None or not kept.stat().st_size:
        return []
    return [Row(n, **row) for n, row in enumerate(read_jsonl(kept, replace(INSTRUCTIONS, key=())).to_dicts(), start=1)]


def _fit(lm: LanguageModel, rows: Sequence[Row], config: Config, work: Path) -> list[dict[str, float]]:
    from trl import SFTConfig, SFTTrainer

    from memozy.fine_tuning import fit

    asked = [(lm.chat_ids(r.query), lm.reply_ids(r.output)) for r in rows]
    tokens = [{"input_ids": query + reply, "labels": [-100] * len(query) + reply} for query, reply in asked]
    return fit(SFTTrainer, SFTConfig, lm, tokens, stage="train_sft", steps=config.steps, batch_size=config.batch_size,
               micro_batch=config.micro_batch, learning_rate=config.learning_rate, seed=config.seed, work=work,
               logged={"loss": "loss", "grad_norm": "gradient_norm"})  # fmt: skip


def _nats(lm: LanguageModel, rows: Sequence[Row], config: Config) -> float:
    """Mean loss of the replies' tokens, nats a token."""
    from memozy.fine_tuning import reply_logprobs

    replies = [lm.reply_ids(r.output) for r in rows]
    logprobs = reply_logprobs(lm, [lm.chat_ids(r.query) for r in rows], replies, config.micro_batch)
    return -logprobs.sum().item() / sum(map(len, replies))


def _card(config: Config, metrics: dict[str, float]) -> str:
    if config.enabled:
        told = (f"Its adapter was taught to follow instructions: {metrics['n_train']} rows of `{config.instructions}` and {metrics['n_kept']} kept "
                f"samples, {config.steps} steps of {config.batch_size}. On {metrics['n_held_out']} rows held out the loss was "
                f"{metrics['held_out_loss_before']:.3f} nats a token before and {metrics['held_out_loss']:.3f} after.")  # fmt: skip
    else:
        told = "Its adapter was handed on as it was: `sft.enabled` is false."
    settings = json.dumps(config.model_dump(mode="json"), ensure_ascii=False, indent=1)
    return (f"# A policy on {config.model}\n\n{told}\n\nOf {metrics['n_rows']} rows {metrics['n_quarantined']} were quarantined; the others have "
            f"{metrics['n_instructions']} distinct instructions.\n\n## Settings\n\n```json\n{settings}\n```\n")  # fmt: skip

"""Stage `train_dpo`: the policy's adapter learns what was preferred to what; no reward model stands between."""

import json
import shutil

import polars as pl
import torch

from components.train_dpo.config import Config
from components.train_dpo.pairs import gather, hold_out
from memozy import policies
from memozy.fine_tuning import fit, reply_logprobs
from memozy.modeling import LanguageModel
from memozy.records import InputError
from memozy.stages import In, OptionalIn, Out, Result, Work


def run(config: Config, *, sft: In, oversampled: OptionalIn, pairs: OptionalIn, dpo: Out, work: Work) -> Result:
    """Train the policy `sft` on pairs; write the policy `dpo`. The reference is the policy as it came.

    metrics, on pairs held out: `accuracy` is the share whose chosen answer has the higher implicit reward,
    β log(π / π_ref), half of a tie; `margin` the mean difference of the two; `likelier` the share whose chosen answer
    the policy itself makes the likelier.
    Raises InputError as `gather` and `policies.load` do, or where too few pairs are left.
    """
    if not config.enabled:
        shutil.copytree(sft, dpo)
        return Result()
    given = gather(config, oversampled, pairs)
    _enough(given, config)
    policy = policies.load(sft)
    short = _in_context(given, policy.lm)
    held_out, train = _enough(short, config)
    rows = _tokens(policy.lm, train)
    before = _logprobs(policy.lm, held_out, config)

    from trl import DPOConfig, DPOTrainer

    curve = fit(DPOTrainer, DPOConfig, policy.lm, rows, stage="train_dpo", steps=config.steps, batch_size=config.batch_size,
                micro_batch=config.micro_batch, learning_rate=config.learning_rate, seed=config.seed, work=work, beta=config.beta,
                logged={"loss": "loss", "grad_norm": "gradient_norm", "rewards/accuracies": "accuracy", "rewards/margins": "margin"})  # fmt: skip
    after = _logprobs(policy.lm, held_out, config)
    rewards = [config.beta * (said - before) for said in (before, after)]  # [P, 2] each
    metrics = {
        "n_pairs": len(given), "n_too_long": len(given) - len(short), "n_train": len(train), "n_held_out": len(held_out),
        "accuracy_before": _wins(rewards[0]), "accuracy": _wins(rewards[1]),
        "margin": (rewards[1][:, 0] - rewards[1][:, 1]).mean().item(),
        "likelier_before": _wins(before), "likelier": _wins(after),
    }  # fmt: skip
    policies.save(policy, dpo, _card(config, policy, metrics))
    return Result(metrics, curve)


def _enough(pairs: pl.DataFrame, config: Config) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(held out, to train on). Raises InputError where either is too few."""
    held_out, train = hold_out(pairs, config.held_out, config.seed)
    if not len(held_out) or len(train) < config.batch_size:
        raise InputError(f"gives {len(pairs)} pairs, of which {len(held_out)} can be held out and {len(train)} trained on: too few",
                         field="dpo.source", value=config.source,
                         remedy=f"Give more pairs of different texts, or lower dpo.batch_size ({config.batch_size})")  # fmt: skip
    return held_out, train


def _tokens(lm: LanguageModel, pairs: pl.DataFrame) -> list[dict[str, list[int]]]:
    return [{"prompt_ids": lm.chat_ids(p["prompt"]), "chosen_ids": lm.reply_ids(p["chosen"]), "rejected_ids": lm.reply_ids(p["rejected"])}
            for p in pairs.iter_rows(named=True)]  # fmt: skip


def _in_context(pairs: pl.DataFrame, lm: LanguageModel) -> pl.DataFrame:
    """Those that the model's context holds."""
    context = getattr(lm.model.config.get_text_config(), "max_position_embeddings", None)
    longest = [len(t["prompt_ids"]) + max(len(t["chosen_ids"]), len(t["rejected_ids"])) for t in _tokens(lm, pairs)]
    return pairs if context is None else pairs.filter(pl.Series(longest) <= context)


def _logprobs(lm: LanguageModel, pairs: pl.DataFrame, config: Config) -> torch.Tensor:
    """Log-likelihoods of the chosen and the rejected answers, nats: [P, 2]."""
    rows = _tokens(lm, pairs)
    asked = [row["prompt_ids"] for row in rows]
    said = [
        reply_logprobs(lm, asked, [row[f"{side}_ids"] for row in rows], config.micro_batch)
        for side in ("chosen", "rejected")
    ]
    return torch.stack(said, dim=1)


def _wins(values: torch.Tensor) -> float:
    """The share of rows of [P, 2] whose first value is the higher, half of a tie."""
    return (0.5 + 0.5 * torch.sign(values[:, 0] - values[:, 1])).mean().item()


def _card(config: Config, policy: policies.Policy, m: dict[str, float]) -> str:
    settings = json.dumps(config.model_dump(mode="json"), ensure_ascii=False, indent=1)
    return (f"# A policy on {policy.base.model}\n\nIts adapter was trained by DPO: {m['n_train']} pairs ({config.source}), {config.steps} steps of "
            f"{config.batch_size}, β {config.beta:g}. On {m['n_held_out']} pairs held out the implicit reward was right in "
            f"{m['accuracy_before']:.1%} before and {m['accuracy']:.1%} after, and the chosen answer was the likelier in {m['likelier_before']:.1%} before and {m['likelier']:.1%} after.\n\n"
            f"## Settings\n\n```json\n{settings}\n```\n")  # fmt: skip

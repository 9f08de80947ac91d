"""Training a policy's adapter with TRL's trainers: quiet, told by Progress, killed at any moment and gone on with bit for bit.

Their own checkpoints are pickles (optimizer.pt, rng_state.pth), so none are written. What a step depends on is made a
function of (seed, step) instead: the rows it sees, its learning rate and its random numbers; the rest, weights and
moments, is kept as safetensors.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from transformers import PrinterCallback, Trainer, TrainerCallback, get_cosine_schedule_with_warmup
from transformers.utils import logging

from memozy.modeling import LanguageModel, load_training_state, save_tensors, training_state
from memozy.stages import Progress

KEEP_EVERY = 30.0  # seconds of training that a kill may cost
WARMUP = 0.1  # share of the steps over which the learning rate rises; then it falls by a half cosine


class _OnTokens:
    """What every trainer here does its own way: rows come as tokens, and nobody is told of the training."""

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return (
            dataset  # TRL would split a prompt with its reply into other tokens than the policy sees when it is asked
        )

    def _send_telemetry(self) -> None:
        pass


def fit(trainer: type[Trainer], settings: type, lm: LanguageModel, rows: Sequence[Mapping[str, Any]], *, stage: str, steps: int,
        batch_size: int, micro_batch: int, learning_rate: float, seed: int, work: Path, logged: Mapping[str, str],
        **options: Any) -> list[dict[str, float]]:  # fmt: skip
    """Train what is trainable in `lm` on `rows`: AdamW, the gradient's norm clipped at 1. Returns a dict of numbers per step.

    trainer, settings: one of TRL's trainers and its configuration class; options: more of its settings. rows: what its
    collator takes, token ids and not texts. A step sees batch_size rows, micro_batch of them at a time; every row comes
    once before any comes again. logged: what is handed on of each step, the trainer's name of it -> ours.
    Killed, and called again with the same `work` folder, it ends as it would have.
    """
    named = {name: p for name, p in lm.model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(named.values(), lr=learning_rate)
    file = work / "training.safetensors"
    kept = load_file(file) if file.exists() else {}
    numbers = kept.pop("numbers", torch.empty(0, len(logged), dtype=torch.float64))  # [steps done, numbers]
    done = len(numbers)
    if done == steps:
        load_training_state(named, optimizer, kept)
        return _curve(numbers.tolist(), logged)
    recorder = _Recorder(
        Progress(stage, steps, "steps", start=done), named, optimizer, file, numbers.tolist(), logged, seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL's own defaults bear names that transformers is giving up
        order = _order(len(rows), steps * batch_size, seed)[done * batch_size :]
        run = _trainer(trainer, settings, lm, rows, order, recorder, max_steps=steps - done, seed=seed,
                       per_device_train_batch_size=min(micro_batch, batch_size),
                       gradient_accumulation_steps=max(1, batch_size // micro_batch),
                       output_dir=str(work / "trainer"), **options)  # fmt: skip
        if done:  # only now: TRL copies its reference from the weights as they were before
            load_training_state(named, optimizer, kept)
        run.lr_scheduler = _schedule(optimizer, steps, done)
        run.train()
    recorder.keep()
    lm.model.eval()
    return _curve(recorder.numbers, logged)


def _trainer(trainer: type[Trainer], settings: type, lm: LanguageModel, rows: Sequence[Mapping[str, Any]], order: list[int],
             recorder: _Recorder, **options: Any) -> Trainer:  # fmt: skip
    """One of TRL's trainers that takes rows of tokens in this order, writes nothing and says nothing."""
    from datasets import Dataset

    logging.set_verbosity_error()
    on_cpu = lm.device.type == "cpu"
    args = settings(
        train_sampling_strategy="sequential", max_grad_norm=1.0, max_length=None, gradient_checkpointing=False,
        use_cpu=on_cpu, bf16=lm.model.dtype == torch.bfloat16, dataloader_pin_memory=not on_cpu, logging_steps=1,
        save_strategy="no", report_to="none", disable_tqdm=True, log_level="error", **options,
    )  # fmt: skip
    run = type(trainer.__name__, (_OnTokens, trainer), {})(
        lm.model, args=args, train_dataset=Dataset.from_list(list(rows)).select(order), processing_class=lm.tokenizer,
        callbacks=[recorder], optimizers=(recorder.optimizer, None),
    )  # fmt: skip
    run.remove_callback(PrinterCallback)
    return run


@torch.no_grad()
def reply_logprobs(lm: LanguageModel, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]],
                   batch_size: int = 16) -> Tensor:  # fmt: skip
    """Σ log p(token | prompt and what stands before it) over each reply's tokens, in nats: [N], float64."""
    totals = torch.zeros(len(prompts), dtype=torch.float64)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]) + len(replies[i]))
    lm.model.eval()
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        width = max(len(prompts[i]) + len(replies[i]) for i in batch)
        ids = torch.full((len(batch), width), lm.pad_id)  # [B, T], right-padded
        asked, whole = torch.tensor([(len(prompts[i]), len(prompts[i]) + len(replies[i])) for i in batch]).T  # [B] each
        for row, i in enumerate(batch):
            ids[row, : whole[row]] = torch.tensor([*prompts[i], *replies[i]])
        places = torch.arange(width)
        mask = (places < whole[:, None]).long()  # [B, T]
        ids, mask = ids.to(lm.device), mask.to(lm.device)
        logits = lm.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]  # [B, T-1, V]
        nll = F.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none").cpu()  # [B, T-1]
        replied = (places >= asked[:, None]) & (places < whole[:, None])  # [B, T]
        totals[batch] = -(nll.double() * replied[:, 1:]).sum(dim=1)
    return totals


class _Recorder(TrainerCallback):
    """Seeds each step, tells Progress, and keeps what the next step depends on."""

    def __init__(self, progress: Progress, named: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer, file: Path,
                 numbers: list[list[float]], logged: Mapping[str, str], seed: int) -> None:  # fmt: skip
        self.progress, self.named, self.optimizer, self.file = progress, named, optimizer, file
        self.numbers, self.logged, self.seed = numbers, logged, seed
        self.kept = time.monotonic()

    def on_step_begin(self, args, state, control, **_):
        torch.manual_seed(self.seed * 1_000_003 + len(self.numbers))  # of dropout, on every device

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" not in logs:  # the summary at the end
            return
        self.numbers.append([float(logs[name]) for name in self.logged])
        if time.monotonic() - self.kept >= KEEP_EVERY:
            self.keep()
        self.progress.advance(loss=logs["loss"])

    def keep(self) -> None:
        tensors = training_state(self.named, self.optimizer)
        save_tensors(tensors | {"numbers": torch.tensor(self.numbers, dtype=torch.float64)}, self.file)
        self.kept = time.monotonic()


def _curve(numbers: list[list[float]], logged: Mapping[str, str]) -> list[dict[str, float]]:
    return [{"step": n, **dict(zip(logged.values(), row, strict=True))} for n, row in enumerate(numbers, start=1)]


def _order(n: int, wanted: int, seed: int) -> list[int]:
    """The rows of all steps: each of the `n` once, shuffled, then each once more in another order, and so on."""
    rng = random.Random(seed)
    order: list[int] = []
    while len(order) < wanted:
        order += rng.sample(range(n), n)
    return order[:wanted]


def _schedule(optimizer: torch.optim.Optimizer, steps: int, done: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Learning rates after `done` of the steps; the cosine is a step longer at each end, where its rate is 0."""
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return get_cosine_schedule_with_warmup(optimizer, max(1, round(WARMUP * steps)), steps + 1, last_epoch=done)

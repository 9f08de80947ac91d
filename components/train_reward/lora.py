"""Train a sequence model: on ratings with the Trainer of transformers, on preferred pairs with TRL's RewardTrainer.

Both are deterministic given the seed (on the CPU bit for bit, with as many threads), and killed ones go on from their last
checkpoint to the same weights. Checkpoints are the trainers' own and scratch: nothing of them is in the result.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.train_reward.config import Lora
from memozy.reward.backbone import quiet
from memozy.reward.sequence import SequenceScorer
from memozy.stages import Progress

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

SAVE_EVERY = 0.1  # of the steps


def train_regression(texts: Sequence[str], ratings: np.ndarray, weights: np.ndarray, settings: Lora, seed: int,
                     work: Path | None = None) -> SequenceScorer:  # fmt: skip
    """A sequence model that says ratings: least squares, each text counting by its weight.

    ratings and weights are (n,); weights >= 0, only their proportions matter. In `work` checkpoints are kept; it may
    be shared by any number of fits. Raises InputError where the base cannot be had.
    """
    from transformers import Trainer, TrainingArguments

    scorer = SequenceScorer.fresh(settings.base, settings.revision, settings.rank, settings.max_length, seed)
    offset = float(np.average(ratings, weights=weights))
    scale = float(np.average((ratings - offset) ** 2, weights=weights)) ** 0.5 or 1.0
    targets = np.column_stack([(ratings - offset) / scale, weights / weights.mean()])
    rows = list(zip(scorer.token_ids(texts), targets.tolist(), strict=True))

    def collate(batch: list) -> dict:
        import torch

        ids, labels = zip(*batch, strict=True)
        return scorer.padded(ids) | {"labels": torch.tensor(labels)}

    def loss(outputs, labels, num_items_in_batch=None):
        target, weight = labels.unbind(-1)
        return (weight * (outputs.logits[:, 0].float() - target) ** 2).mean()

    def trainer(folder: Path, saves: bool) -> Trainer:
        arguments = _arguments(TrainingArguments, settings, seed, folder, saves)
        return Trainer(scorer.model, arguments, collate, train_dataset=rows, compute_loss_func=loss)

    _train(trainer, work, [list(texts), ratings.tolist(), weights.tolist(), settings.model_dump(), seed, scorer.base_digest])
    return replace(scorer, scale=scale, offset=offset).merged()


def train_pairs(chosen: Sequence[str], rejected: Sequence[str], settings: Lora, seed: int,
                work: Path | None = None) -> SequenceScorer:  # fmt: skip
    """A sequence model whose differences are log-odds: P(chosen preferred) = σ(u(chosen) - u(rejected)).

    chosen and rejected are m texts each, pair by pair (Bradley & Terry 1952). What it says has no zero point and no
    rating's unit; `dataclasses.replace(scorer, scale=…, offset=…)` gives it both. Without pairs it is an untrained one.
    work: as in `train_regression`.
    """
    import huggingface_hub
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True  # TRL reports every training
    scorer = SequenceScorer.fresh(settings.base, settings.revision, settings.rank, settings.max_length, seed)
    if not chosen:
        return scorer.merged()
    pairs = Dataset.from_dict({"chosen_ids": scorer.token_ids(chosen), "rejected_ids": scorer.token_ids(rejected)})

    def trainer(folder: Path, saves: bool) -> Trainer:
        arguments = _arguments(RewardConfig, settings, seed, folder, saves, max_length=None)  # cut already, not dropped
        return RewardTrainer(scorer.model, arguments, train_dataset=pairs, processing_class=scorer.tokenizer)

    _train(trainer, work, [list(chosen), list(rejected), settings.model_dump(), seed, scorer.base_digest])
    return scorer.merged()


def _arguments(kind: type, settings: Lora, seed: int, folder: Path, saves: bool, **more: Any) -> TrainingArguments:
    import torch

    gpu = torch.cuda.is_available()
    return kind(
        output_dir=str(folder), num_train_epochs=settings.epochs, per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate, warmup_steps=0.1, seed=seed, use_cpu=not gpu, bf16=gpu,
        activation_checkpointing=gpu, dataloader_pin_memory=False, remove_unused_columns=False,
        save_strategy="steps" if saves else "no", save_steps=SAVE_EVERY, save_total_limit=1,
        logging_steps=1, report_to="none", disable_tqdm=True, **more,
    )  # fmt: skip


def _train(make_trainer, work: Path | None, decides: list) -> None:
    """Run a trainer to its end, from its last whole checkpoint where there is one.

    decides: all that the weights depend on; it names the checkpoints' folder, so that no other fit goes on from them.
    """
    if work is None:
        with tempfile.TemporaryDirectory(prefix="memozy-lora-") as scratch, quiet():
            _shown(make_trainer(Path(scratch), False)).train()
        return
    folder = work / hashlib.sha256(json.dumps(decides, ensure_ascii=False).encode()).hexdigest()[:12]
    # the trainer's state is written last: without it a checkpoint was cut off
    whole = sorted(folder.glob("checkpoint-*/trainer_state.json"), key=lambda p: int(p.parent.name.split("-")[1]))
    with quiet():
        _shown(make_trainer(folder, True)).train(resume_from_checkpoint=str(whole[-1].parent) if whole else None)


def _shown(trainer: Trainer) -> Trainer:
    """The trainer telling its progress as our stages do, and in no other way."""
    from transformers import PrinterCallback, TrainerCallback

    class Shown(TrainerCallback):
        def on_train_begin(self, args, state, control, **_):
            self.progress = Progress("train_reward", state.max_steps, "steps", start=state.global_step)

        def on_log(self, args, state, control, logs, **_):
            if "loss" in logs:
                self.progress.advance(loss=logs["loss"])

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Shown())
    return trainer

"""Teaching a language model from scratch: the loss of the reply's tokens given the prompt."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from memozy.modeling import LanguageModel, load_training_state, save_tensors, training_state

CHECKPOINT_EVERY = 100


@dataclass(frozen=True)
class Example:
    """prompt and reply as token ids; weight of each reply token in the loss (1 unless said)."""

    prompt: list[int]
    reply: list[int]
    weights: list[float]


def tokenize(lm: LanguageModel, prompt: str, reply: str, heavy: frozenset[int] = frozenset(), weight: float = 4.0):
    """An Example; reply tokens in `heavy` (names that must be copied right) count `weight` times."""
    ids = lm.reply_ids(reply)
    return Example(lm.chat_ids(prompt), ids, [weight if t in heavy else 1.0 for t in ids])


def batches(examples: Sequence[Example], batch_size: int, rng: random.Random) -> Iterator[list[Example]]:
    """Endless shuffled batches of similar length: sorted by length inside windows of 32 batches."""
    while True:
        order = rng.sample(range(len(examples)), len(examples))
        for start in range(0, len(order), 32 * batch_size):
            window = sorted(
                order[start : start + 32 * batch_size],
                key=lambda i: len(examples[i].prompt) + len(examples[i].reply),
            )
            chunks = [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
            rng.shuffle(chunks)
            for chunk in chunks:
                yield [examples[i] for i in chunk]


def collate(batch: Sequence[Example], pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """-> ids [B, T], attention mask [B, T], loss weights [B, T] (0 on prompt and padding); right-padded."""
    width = max(len(e.prompt) + len(e.reply) for e in batch)
    ids = torch.full((len(batch), width), pad_id)
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    weights = torch.zeros(len(batch), width)
    for i, e in enumerate(batch):
        n, m = len(e.prompt), len(e.prompt) + len(e.reply)
        ids[i, :m] = torch.tensor(e.prompt + e.reply)
        mask[i, :m] = 1
        weights[i, n:m] = torch.tensor(e.weights)
    return ids, mask, weights


def loss(model: torch.nn.Module, ids: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean cross-entropy in nats a token: position t is predicted from what stands before it."""
    hidden = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]  # [B, T-1, V]
    targets, w = ids[:, 1:], weights[:, 1:]  # [B, T-1]
    picked = w > 0  # logits of prompt and padding never enter the softmax
    nll = F.cross_entropy(hidden[picked].float(), targets[picked], reduction="none")
    return (nll * w[picked]).sum() / w[picked].sum()


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Learning-rate factor: linear to 1 over `warmup` steps, then a half cosine down to 0.1 at `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, progress)))


def train(
    model: torch.nn.Module,
    examples: Sequence[Example],
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    warmup: int,
    pad_id: int,
    seed: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    autocast: bool = False,
    checkpoint: Path | None = None,
) -> list[float]:
    """AdamW (β 0.9, 0.98; weight decay 0.01), gradient norm clipped at 1. Returns the loss of every step taken.

    With a `checkpoint` file the state is kept every CHECKPOINT_EVERY steps, and a killed training goes
    on from there as if it had not stopped; the file is removed at the end.
    """
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    parameters = list(named.values())
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: warmup_cosine(s, steps, warmup))
    stream = batches(examples, batch_size, random.Random(seed))
    first = 0
    if checkpoint is not None and checkpoint.exists():
        kept = load_file(checkpoint)
        first = int(kept.pop("step"))
        load_training_state(named, optimizer, kept)
        for _ in range(first):
            next(stream)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: warmup_cosine(s + first, steps, warmup))
    model.train()
    losses = []
    for step in range(first, steps):
        ids, mask, weights = collate(next(stream), pad_id)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            value = loss(model, ids, mask, weights)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(value.item())
        on_step(step, losses[-1])
        if checkpoint is not None and (step + 1) % CHECKPOINT_EVERY == 0:
            save_tensors(training_state(named, optimizer) | {"step": torch.tensor(step + 1)}, checkpoint)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    model.eval()
    return losses

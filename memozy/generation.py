"""Replies of language models, token by token. Shapes: B rows, T tokens, R tokens of a reply, H hidden size, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from memozy.modeling import LanguageModel

ROOM = 64  # tokens that a cache grows by


@dataclass
class Replies:
    """What `generate` returns, one entry per prompt and in the prompts' order."""

    tokens: list[list[int]] = field(default_factory=list)  # EOS included where it was drawn
    logprobs: list[list[float]] = field(default_factory=list)  # of each drawn token, at the sampling temperature
    finished: list[bool] = field(default_factory=list)  # ended by EOS rather than by max_new_tokens
    values: list[list[float]] = field(default_factory=list)  # before each token, and after one cut off; if asked for


@torch.no_grad()
def generate(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    temperature: float,
    rng: torch.Generator,
    batch_size: int = 256,
    rows: slice = slice(None),
    value: Callable[[Tensor], Tensor] | None = None,
) -> Replies:
    """Sample one reply per prompt (ancestral sampling from softmax(logits / temperature)).

    A token is the inverse of its distribution function at a uniform number that belongs to its row and position, all
    of them drawn from `rng` beforehand: so neither the batch nor who left it, nor the machine that a row is on, changes
    a reply, but by rounding. Prompts are taken in order of length, and a row leaves its batch soon after its EOS.
    rows: only these prompts are answered, as they would be among all. value: what states [B, H] (last hidden, float32) are
    worth, [B]; decoding passes through them anyway, so their values cost no forward of their own.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive; got {temperature}")
    uniforms = torch.rand(len(prompts), max_new_tokens, generator=rng, dtype=torch.float64)[rows]  # [B, R]
    prompts = prompts[rows]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    nothing = [[]] * len(prompts)
    replies = Replies(nothing[:], nothing[:], [False] * len(prompts), nothing[:])
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        _generate_batch(
            lm, [prompts[i] for i in batch], batch, replies, uniforms[batch].to(lm.device), temperature, value
        )
    return replies


def _generate_batch(lm, prompts, rows, replies, uniforms, temperature, value) -> None:
    ids, mask = (t.to(lm.device) for t in left_pad(prompts, lm.pad_id))  # [B, T]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)  # [B, T]
    cache = Cache(layer_class_to_replicate=_Roomy)
    alive = torch.arange(len(prompts), device=lm.device)  # which of the batch's rows are still in it
    drawn: list[list[int]] = [[] for _ in prompts]
    logps: list[list[float]] = [[] for _ in prompts]
    values: list[list[float]] = [[] for _ in prompts]
    done = torch.zeros(len(prompts), dtype=torch.bool, device=lm.device)
    for step in range(uniforms.shape[1] + bool(value)):  # once more, for what comes after a reply that is cut off
        with _entering_head(lm.model) as states:
            out = lm.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
                logits_to_keep=1,
            )  # fmt: skip
        ended = done.tolist()
        if value:
            worths = value(states[0][:, -1].float()).tolist()
            for over, row, worth in zip(ended, alive.tolist(), worths, strict=True):
                if not over:
                    values[row].append(worth)
        if step == uniforms.shape[1]:
            break
        logp = torch.log_softmax(out.logits[:, -1].float() / temperature, dim=-1)  # [B, V]
        token = inverse_cdf(logp, uniforms[alive, step, None])  # [B, 1]
        picked = logp.gather(1, token)[:, 0].tolist()
        for over, row, t, lp in zip(ended, alive.tolist(), token[:, 0].tolist(), picked, strict=True):
            if not over:
                drawn[row].append(t)
                logps[row].append(lp)
        done |= token[:, 0] == lm.eos_id
        if done.all():
            break
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
        ids, positions = token, positions[:, -1:] + 1
        if done.sum() * 4 >= len(done):  # a quarter is idle: worth the copy of the cache
            keep = (~done).nonzero()[:, 0]
            cache.batch_select_indices(keep)
            alive, ids, mask, positions, done = alive[keep], ids[keep], mask[keep], positions[keep], done[keep]
    for row, tokens, lps, worth in zip(rows, drawn, logps, values, strict=True):
        replies.tokens[row], replies.logprobs[row], replies.values[row] = tokens, lps, worth
        replies.finished[row] = bool(tokens) and tokens[-1] == lm.eos_id


class _Roomy(DynamicLayer):
    """A layer's keys and values with room behind them: a token is written there, where `DynamicLayer` copies all of them."""

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """All keys and values [B, heads, T, D], these added behind those of before."""
        fresh = (key_states, value_states)
        if not self.is_initialized:
            self.lazy_initialization(*fresh)
            self.buffers = self.keys, self.values = [x[:, :, :0] for x in fresh]
        begin = self.keys.shape[2]
        end = begin + key_states.shape[2]
        if end > self.buffers[0].shape[2]:
            grown = [x.new_empty(*x.shape[:2], end + ROOM, x.shape[3]) for x in fresh]
            for buffer, old in zip(grown, (self.keys, self.values), strict=True):
                buffer[:, :, :begin] = old
            self.buffers = grown
        for buffer, new in zip(self.buffers, fresh, strict=True):
            buffer[:, :, begin:end] = new
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)
        self.buffers = [self.keys, self.values]


@contextmanager
def _entering_head(model: nn.Module) -> Iterator[list[Tensor]]:
    """While it lasts, what enters the model's last linear map is noted: hidden states of the positions asked for."""
    seen: list[Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        hook.remove()


def inverse_cdf(logp: Tensor, uniforms: Tensor) -> Tensor:
    """The token at which the distribution function first exceeds u, [B, 1]; logp [B, V], uniforms [B, 1] in [0, 1).

    A token of probability 0 is never drawn: the function does not grow at it.
    """
    total = logp.double().exp().cumsum(dim=-1)  # [B, V]
    return torch.searchsorted(total, uniforms * total[:, -1:], right=True).clamp(max=logp.shape[-1] - 1)


def left_pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Token rows of unequal length -> (ids [B, T], attention mask [B, T]), padding on the left."""
    width = max(len(r) for r in rows)
    ids = torch.tensor([[pad_id] * (width - len(r)) + list(r) for r in rows])
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
    return ids, mask

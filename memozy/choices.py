"""How likely a language model is to answer with each of a question's labels, without writing anything.

P prompts (templates) ask Q questions each. The tokens that all of a prompt's questions begin with are computed once, and
their keys and values are put under every question: what is left is one forward pass over the rest, and over every label of
several tokens but its last. The figures are those of a plain forward pass over each filled prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonprefix
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from memozy.generation import left_pad
from memozy.modeling import LanguageModel

# of a batch, padding and shared tokens included: the keys and values of all of them lie in memory
TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 32768}


class Choices(NamedTuple):
    """p: [P, Q, C], summing to 1 over a question's labels; 0 beyond them. mass: [P, Q] in [0, 1], the probability that
    the model's own answer begins with any of them."""

    p: np.ndarray
    mass: np.ndarray


@torch.no_grad()
def choice_probabilities(
    lm: LanguageModel, prompts: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
) -> Choices:
    """prompts: P rows of Q filled prompts. labels: for each question the texts an answer may begin with.

    A label of several tokens is as likely as all of them in a row. Where one label goes on as another («1», «10»), only
    that part of it counts for the shorter one that does not.
    """
    said = [[tuple(lm.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in each] for each in labels]
    # a column is a question and a label begun behind it, whose last positions tell of every token of the label
    columns = [(q, stem) for q, each in enumerate(said) for stem in _longest({ids[:-1] for ids in each})]
    wanted = [[sorted({ids[k] for ids in said[q] if ids[:k] == stem[:k] and len(ids) > k}) for k in range(len(stem), -1, -1)]
              for q, stem in columns]  # fmt: skip
    asked = [[lm.chat_ids(prompt) for prompt in row] for row in prompts]
    shared = [len(commonprefix([ids[:-1] for ids in row])) for row in asked]
    rows = [[row[q] + list(stem) for q, stem in columns] for row in asked]
    logp = _next_logprobs(lm, rows, shared, wanted)  # [P, columns, K, W]

    def likely_of(q: int, ids: tuple[int, ...]) -> np.ndarray:
        """Log-probability of all of a label's tokens, [P]."""
        i = next(i for i, (of, stem) in enumerate(columns) if of == q and stem[: len(ids) - 1] == ids[:-1])
        back = [len(columns[i][1]) - k for k in range(len(ids))]  # where token k is told of, from the end
        return sum(logp[:, i, b, wanted[i][b].index(token)] for b, token in zip(back, ids, strict=True))

    p = np.zeros((len(prompts), len(said), max(map(len, said), default=0)))
    mass = np.zeros(p.shape[:2])
    for q, each in enumerate(said):
        whole = np.stack([likely_of(q, ids) for ids in each], axis=1)  # [P, C]
        highest = whole.max(axis=1, keepdims=True)
        own = likely = np.exp(whole - highest)
        for j, ids in enumerate(each):
            shorter = [i for i, other in enumerate(each) if i != j and ids[: len(other)] == other]
            if shorter:
                own = own.copy()
                own[:, max(shorter, key=lambda i: len(each[i]))] -= likely[:, j]
        own = np.maximum(own, 0.0)  # a rounding error below it
        total = own.sum(axis=1)
        p[:, q, : len(each)] = own / total[:, None]
        mass[:, q] = np.exp(highest[:, 0]) * total
    return Choices(p, np.minimum(mass, 1.0))


def _longest(stems: set[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Those that no other begins with."""
    return sorted(stem for stem in stems if not any(stem == other[: len(stem)] for other in stems - {stem}))


def _next_logprobs(
    lm: LanguageModel, rows: list[list[list[int]]], shared: list[int], wanted: list[list[list[int]]]
) -> np.ndarray:
    """Log-probability of `wanted` tokens at the last K positions of every row, the last one first: [P, columns, K, W] float64.

    shared: tokens that all of a prompt's questions begin with. wanted: a column's tokens, for each of its positions.
    Rows and columns are taken in order of length, in blocks of so many prompts and columns that a batch is full.
    """
    lengths = np.array([[len(row) for row in each] for each in rows])  # [P, columns]
    budget = TOKENS_PER_BATCH[lm.device.type]
    across = max(1, budget // lengths.max())  # columns in a block
    order, columns = np.argsort(lengths.max(axis=1), kind="stable"), np.argsort(lengths.mean(axis=0), kind="stable")
    down = max(1, budget // int(lengths.max() * min(across, len(columns))))  # prompts in a block
    tokens = torch.zeros(  # [columns, K, W]
        len(wanted), max(map(len, wanted)), max(len(w) for each in wanted for w in each), dtype=torch.long
    )
    for i, each in enumerate(wanted):
        for k, some in enumerate(each):
            tokens[i, k, : len(some)] = torch.tensor(some)
    tokens, back = tokens.to(lm.device), tokens.shape[1]
    found = np.empty((len(rows), *tokens.shape))
    for start in range(0, len(order), down):
        block = order[start : start + down]
        prefixes = _prefill(lm, [rows[i][0][: shared[i]] for i in block])
        for first in range(0, len(columns), across):
            some = columns[first : first + across]
            flat = [rows[i][c] for i in block for c in some]
            prompt = torch.arange(len(block), device=lm.device).repeat_interleave(len(some))  # [B]
            fresh = max(len(rows[i][c]) - shared[i] for i in block for c in some)
            told = min(back, fresh)  # shorter labels than the longest ask for fewer positions
            logits = _forward(lm, flat, prefixes, prompt, fresh, told)  # [B, told, V]
            for k in range(told):
                logp = logits[:, -1 - k].float().log_softmax(-1)  # [B, V]
                picked = logp.gather(1, tokens[some, k].repeat(len(block), 1))  # [B, W]
                found[np.ix_(block, some, [k])] = picked.double().cpu().numpy().reshape(len(block), len(some), 1, -1)
    return found


def _prefill(lm: LanguageModel, prefixes: list[list[int]]) -> DynamicCache:
    """Keys and values of each prompt's shared tokens, from slot 0 on; what is computed behind them is never looked at."""
    cache, longest = DynamicCache(), max(map(len, prefixes))
    if longest:
        ids = torch.tensor([ids + [lm.pad_id] * (longest - len(ids)) for ids in prefixes], device=lm.device)
        lm.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def _forward(
    lm: LanguageModel, rows: list[list[int]], prefixes: DynamicCache, prompt: Tensor, fresh: int, back: int
) -> Tensor:
    """Logits at the last `back` positions of each row, [B, back, V]: from its last `fresh` tokens, upon the cached ones of
    its prompt.

    It is the batch of whole rows padded on the left, whose first slots come from the cache: so nothing ever stands
    between a row's tokens, which a sliding window would count. A short row computes some of its shared tokens again.
    """
    ids, _ = (t.to(lm.device) for t in left_pad([row[-fresh:] for row in rows], lm.pad_id))  # [B, fresh]
    length = torch.tensor([len(row) for row in rows], device=lm.device)[:, None]  # [B, 1]
    cached = max(0, int(length.max()) - fresh)  # slots of the batch that come from the cache
    slots = torch.arange(cached + fresh, device=lm.device)[None]  # [1, S]
    positions = slots - (cached + fresh - length)  # [B, S], negative where padded
    cache, take = DynamicCache(), positions[:, :cached].clamp(min=0)  # [B, cached]
    if cached:
        for i, layer in enumerate(prefixes.layers):  # keys and values: [P, heads, longest, d] -> [B, heads, cached, d]
            moved = (t.transpose(1, 2)[prompt[:, None], take].transpose(1, 2) for t in (layer.keys, layer.values))
            cache.update(*moved, i)
    return lm.model(
        input_ids=ids, attention_mask=(positions >= 0).long(), position_ids=positions[:, cached:].clamp(min=0),
        past_key_values=cache, use_cache=True, logits_to_keep=back,
    ).logits  # fmt: skip

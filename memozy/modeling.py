"""Load language models, turn chats into tokens, generate and score. Shapes: B rows, T tokens, V vocabulary.

Everything here works with any `transformers` causal LM: the micro-world's tiny models, a hub model, or
one with a LoRA adapter. Nothing is pickled: weights are safetensors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from memozy.records import InputError
from memozy.weights import Weights, model_folder


def own_device() -> torch.device:
    """Where this process computes: its own GPU where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@dataclass
class LanguageModel:
    """A causal LM with its tokenizer. `eos_id` ends a reply; `pad_id` may equal it."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase

    @classmethod
    def load(cls, model: str | Path, weights: Weights | None = None) -> LanguageModel:
        """Weights and tokenizer from a folder or a hub name, frozen, on this process's device.

        Raises InputError where they cannot be had or loaded.
        """
        weights = weights or Weights()
        disable_progress_bar()  # a bar per file, in a terminal that shows the stages' own progress
        folder = model_folder(str(model), weights.revision, weights.remote_code)
        code = {"trust_remote_code": weights.remote_code}
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **code)
            loaded = AutoModelForCausalLM.from_pretrained(
                folder, dtype=getattr(torch, weights.dtype), use_safetensors=True, **code, **_four_bit(weights)
            )
        except (OSError, ValueError, ImportError) as error:
            raise InputError(f"no model can be loaded from here ({str(error).strip().splitlines()[0]})", field="model", value=str(model),
                             remedy="Give a folder or hub name of a causal language model") from None  # fmt: skip
        if weights.chat_template:
            tokenizer.chat_template = weights.chat_template
        return cls((loaded if weights.four_bit else loaded.to(own_device())).eval().requires_grad_(False), tokenizer)

    def save(self, path: str | Path) -> None:
        self.model.save_pretrained(str(path), safe_serialization=True)
        self.tokenizer.save_pretrained(str(path))

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def eos_id(self) -> int:
        return self.tokenizer.eos_token_id

    @property
    def pad_id(self) -> int:
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.eos_id

    def chat_ids(self, prompt: str) -> list[int]:
        """The tokens a reply to `prompt` follows: by the tokenizer's chat template, else the plain text."""
        if self.tokenizer.chat_template:
            text = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            )
            return self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.tokenizer(prompt + "\n")["input_ids"]

    def reply_ids(self, reply: str) -> list[int]:
        """The tokens of a reply, closed by EOS."""
        return [*self.tokenizer(reply, add_special_tokens=False)["input_ids"], self.eos_id]

    def text(self, reply: Sequence[int]) -> str:
        return self.tokenizer.decode(reply, skip_special_tokens=True).strip()


@dataclass
class Replies:
    """What `generate` returns, one entry per prompt and in the prompts' order."""

    tokens: list[list[int]] = field(default_factory=list)  # EOS included where it was drawn
    logprobs: list[list[float]] = field(default_factory=list)  # of each drawn token, at the sampling temperature
    finished: list[bool] = field(default_factory=list)  # ended by EOS rather than by max_new_tokens


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
) -> Replies:
    """Sample one reply per prompt (ancestral sampling from softmax(logits / temperature)).

    A token is the inverse of its distribution function at a uniform number that belongs to its row and position, all
    of them drawn from `rng` beforehand: so neither the batch nor who left it, nor the machine that a row is on, changes
    a reply, but by rounding. Prompts are taken in order of length, and a row leaves its batch soon after its EOS.
    rows: only these prompts are answered, as they would be among all.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive; got {temperature}")
    uniforms = torch.rand(len(prompts), max_new_tokens, generator=rng, dtype=torch.float64)[rows]  # [B, R]
    prompts = prompts[rows]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    replies = Replies([[]] * len(prompts), [[]] * len(prompts), [False] * len(prompts))
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        _generate_batch(lm, [prompts[i] for i in batch], batch, replies, uniforms[batch].to(lm.device), temperature)
    return replies


def _generate_batch(lm, prompts, rows, replies, uniforms, temperature) -> None:
    ids, mask = (t.to(lm.device) for t in left_pad(prompts, lm.pad_id))  # [B, T]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)  # [B, T]
    cache = DynamicCache()
    alive = torch.arange(len(prompts), device=lm.device)  # which of the batch's rows are still in it
    drawn: list[list[int]] = [[] for _ in prompts]
    logps: list[list[float]] = [[] for _ in prompts]
    done = torch.zeros(len(prompts), dtype=torch.bool, device=lm.device)
    for step in range(uniforms.shape[1]):
        out = lm.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
            logits_to_keep=1,
        )  # fmt: skip
        logp = torch.log_softmax(out.logits[:, -1].float() / temperature, dim=-1)  # [B, V]
        token = inverse_cdf(logp, uniforms[alive, step, None])  # [B, 1]
        picked = logp.gather(1, token)[:, 0].tolist()
        ended = done.tolist()
        for slot, row, t, lp in zip(range(len(ended)), alive.tolist(), token[:, 0].tolist(), picked, strict=True):
            if not ended[slot]:
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
    for row, tokens, lps in zip(rows, drawn, logps, strict=True):
        replies.tokens[row], replies.logprobs[row] = tokens, lps
        replies.finished[row] = bool(tokens) and tokens[-1] == lm.eos_id


def inverse_cdf(logp: Tensor, uniforms: Tensor) -> Tensor:
    """The token at which the distribution function first exceeds u, [B, 1]; logp [B, V], uniforms [B, 1] in [0, 1).

    A token of probability 0 is never drawn: the function does not grow at it.
    """
    total = logp.double().exp().cumsum(dim=-1)  # [B, V]
    return torch.searchsorted(total, uniforms * total[:, -1:], right=True).clamp(max=logp.shape[-1] - 1)


def training_state(parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights and optimiser moments as flat tensors, all that AdamW's next step depends on besides the gradient.

    `parameters` are the ones the optimiser was made with, in that order.
    """
    tensors = {f"weight.{name}": p.detach() for name, p in parameters.items()}
    for i, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{key}": value for key, value in moments.items()}
    return tensors


def load_training_state(
    parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Put `training_state`'s tensors back, in place."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"weight.{name}"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, i, key = name.split(".")
            moments.setdefault(int(i), {})[key] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write safetensors under a scratch name first: a kill leaves the old file or the new one, whole."""
    scratch = path.with_suffix(".tmp")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, scratch)
    scratch.replace(path)


def left_pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Token rows of unequal length -> (ids [B, T], attention mask [B, T]), padding on the left."""
    width = max(len(r) for r in rows)
    ids = torch.tensor([[pad_id] * (width - len(r)) + list(r) for r in rows])
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
    return ids, mask


def _four_bit(weights: Weights) -> dict:
    """What `from_pretrained` is told for weights of four bits. Raises InputError where they cannot be computed with."""
    if not weights.four_bit:
        return {}
    if not torch.cuda.is_available():
        raise InputError("weights of four bits need a GPU", field="weights.four_bit", value=True, remedy="Leave it out")
    from transformers import BitsAndBytesConfig

    bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    return {"quantization_config": bits, "device_map": {"": own_device()}}

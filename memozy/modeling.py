"""Load language models, turn chats into tokens, keep the state of a training.

Everything here works with any `transformers` causal LM: the micro-world's tiny models, a hub model, or
one with a LoRA adapter. Nothing is pickled: weights are safetensors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
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


def _four_bit(weights: Weights) -> dict:
    """What `from_pretrained` is told for weights of four bits. Raises InputError where they cannot be computed with."""
    if not weights.four_bit:
        return {}
    if not torch.cuda.is_available():
        raise InputError("weights of four bits need a GPU", field="weights.four_bit", value=True, remedy="Leave it out")
    from transformers import BitsAndBytesConfig

    bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    return {"quantization_config": bits, "device_map": {"": own_device()}}

"""What a sequence model stands on: a base with one logit and fresh adapters, of its own or upon a policy's base weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from memozy.records import InputError

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn

    from memozy.policies import Policy


def with_adapters(folder: Path, rank: int, seed: int) -> PeftModel:
    """The base with one logit; trainable: adapters on every linear layer, and whatever the base's files do not hold."""
    import torch
    from transformers import AutoModelForSequenceClassification

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            base, report = AutoModelForSequenceClassification.from_pretrained(
                folder, num_labels=1, dtype=getattr(torch, _precision()), use_safetensors=True,
                trust_remote_code=False, ignore_mismatched_sizes=True, output_loading_info=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be a base: {str(error).splitlines()[0]}", file=folder,
                             remedy="Name a model that transformers has a sequence classifier for") from None  # fmt: skip
        made_here = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
        return _adapted(base, sorted({key.rpartition(".")[0] for key in made_here}), rank)


def _adapted(base: nn.Module, heads: Sequence[str], rank: int) -> PeftModel:
    import torch
    from peft import LoraConfig, get_peft_model

    base.config.use_cache = False
    lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", modules_to_save=list(heads) or None)
    model = get_peft_model(base, lora)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # small steps are lost in bfloat16
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _precision() -> str:
    import torch

    return "bfloat16" if torch.cuda.is_available() else "float32"


def same_base(policy: Policy, digest: str) -> bool:
    """Whether the policy's base weights are, as they lie in memory, the ones of the base with this digest."""
    weights = policy.base.weights
    return (policy.base.digest, weights.dtype, weights.four_bit) == (digest, _precision(), False)


def upon(policy: Policy, rank: int) -> PeftModel:
    """`with_adapters` upon the policy's own base weights: the layers are others, the tensors in them the same."""
    import copy

    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer
    from transformers import AutoModelForSequenceClassification

    trunk = policy.lm.model.get_base_model().base_model
    kept = {id(tensor): tensor for tensor in (*trunk.parameters(), *trunk.buffers())}
    trunk = copy.deepcopy(trunk, kept)  # what is in `kept` is shared, not copied
    for name, layer in list(trunk.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            trunk.set_submodule(name, layer.base_layer)
    with quiet(), torch.random.fork_rng():
        with torch.device("meta"):
            trunk.config.num_labels = 1
            base = AutoModelForSequenceClassification.from_config(trunk.config)
        setattr(base, base.base_model_prefix, trunk)
        trunk.config = base.config
        heads = [name for name, _ in base.named_children() if name != base.base_model_prefix]
        for name in heads:  # whatever is in them now is overwritten by what was saved
            getattr(base, name).to_empty(device=policy.lm.device)
        return _adapted(base, heads, rank)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bars and warnings of transformers: a new head is what is wanted, not a mishap."""
    import warnings

    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            yield
    finally:
        logging.set_verbosity(level)

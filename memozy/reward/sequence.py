"""A language model that reads a text whole and says one number: any base, LoRA adapters and a head of one logit.

The base may be a causal LM or an encoder of any size, so its weights are never copied: what is saved are the
adapters (Hu et al. 2021, arXiv:2106.09685), the head and the base's digest, and only the very same base is put under
them again. Training: `components/train_reward/lora.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memozy.records import InputError
from memozy.reward.backbone import same_base, upon, with_adapters
from memozy.weights import model_digest, model_folder

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from memozy.policies import Policy

TOKENS_PER_BATCH = {"cpu": 1024, "cuda": 16384}  # padding included; on a CPU more only leaves the caches
KEPT = ("base", "revision", "base_digest", "rank", "max_length", "scale", "offset")  # what sequence.json holds


@dataclass(frozen=True)
class SequenceScorer:
    """What is said of a text: offset + scale × logit.

    base: a folder or hub name. revision: the commit of a hub name. base_digest: SHA-256 over its configuration and
    weights. rank: of the adapters. max_length: tokens read of a text, what stands beyond is not.
    """

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    base: str
    revision: str | None
    base_digest: str
    rank: int
    max_length: int
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        self.model.config.get_text_config().pad_token_id = self.tokenizer.pad_token_id  # so the head knows a text's end

    @classmethod
    def fresh(cls, base: str, revision: str | None, rank: int, max_length: int, seed: int) -> SequenceScorer:
        """An untrained one: a random head, adapters that change nothing yet.

        max_length is lowered to what the base can read. Raises InputError where the base cannot be had.
        """
        from transformers import AutoTokenizer

        folder = model_folder(base, revision)
        base_digest = model_digest(folder)
        model = with_adapters(folder, rank, seed)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        # a causal head reads the last token that is no padding: it should be the one every text is closed with
        specials = [tokenizer.pad_token, *tokenizer.all_special_tokens]
        tokenizer.pad_token = next((t for t in specials if t and t != tokenizer.eos_token), tokenizer.eos_token)
        longest = getattr(model.config.get_text_config(), "max_position_embeddings", None) or max_length
        commit = None if Path(base).is_dir() else folder.name  # a branch may move on
        return cls(model, tokenizer, base, commit, base_digest, rank,
                   min(max_length, longest, tokenizer.model_max_length))  # fmt: skip

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """What is said of each text, (n,) float64 and in the texts' order; texts beside it matter by rounding alone."""
        import torch

        rows = self.token_ids(texts)
        logits = np.empty(len(rows))
        device = self.model.device.type
        self.model.eval()
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            for batch in _batches([len(r) for r in rows], TOKENS_PER_BATCH[device]):
                said = self.model(**self.padded([rows[i] for i in batch])).logits[:, 0]
                logits[batch] = said.double().cpu().numpy()
        return self.offset + self.scale * logits

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, max_length at most, closed by EOS where the base has one."""
        if not texts:
            return []
        rows = self.tokenizer(list(texts), truncation=True, max_length=self.max_length)["input_ids"]
        eos = self.tokenizer.eos_token_id
        return [row if eos in (None, *row[-1:]) else [*row[: self.max_length - 1], eos] for row in rows]

    def padded(self, rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Token rows as the model takes them: input_ids and attention_mask, (n, longest), padding on the right."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        ids = pad_sequence([torch.tensor(r) for r in rows], batch_first=True, padding_value=self.tokenizer.pad_token_id)
        mask = pad_sequence([torch.ones(len(r), dtype=torch.long) for r in rows], batch_first=True)
        return {"input_ids": ids.to(self.model.device), "attention_mask": mask.to(self.model.device)}

    def save(self, folder: str | Path) -> None:
        """Write `sequence.json`, `adapter.safetensors` (adapters and head) and the tokenizer's files into `folder`."""
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        folder = Path(folder)
        if self.tokenizer.is_fast:
            self.tokenizer.backend_tokenizer.no_truncation()  # else what it was last asked for is saved with it
        self.tokenizer.save_pretrained(folder)
        weights = get_peft_model_state_dict(self.model, save_embedding_layers=False)
        save_file({name: w.cpu().contiguous() for name, w in weights.items()}, folder / "adapter.safetensors")
        kept = {name: getattr(self, name) for name in KEPT}
        (folder / "sequence.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path, backbone: Policy | None = None) -> SequenceScorer:
        """Read what `save` wrote; it says what it said before, bit for bit on the same hardware with as many threads.

        backbone: a policy in memory. Where it stands on the same base, in the precision that is used here, its base
        weights are this model's too, and the adapters are put beside the policy's instead of being merged: no second copy
        lies in memory, and what is said differs by rounding. Not to be asked while the policy's adapters are merged.
        Raises InputError where the base is missing, is not the one it was trained on, or the adapters do not fit it.
        """
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file
        from transformers import AutoTokenizer

        folder = Path(folder)
        file = folder / "sequence.json"
        if not file.is_file():
            raise InputError("no such file", file=file, remedy="Train the sequence model first")
        kept = json.loads(file.read_text(encoding="utf-8"))
        base = model_folder(kept["base"], kept["revision"])
        if model_digest(base) != kept["base_digest"]:
            raise InputError("is not the base this model was trained on: its weights or configuration have changed",
                             file=file, field="base", value=kept["base"],
                             remedy="Put the old base back there, or train again on this one")  # fmt: skip
        shared = backbone is not None and same_base(backbone, kept["base_digest"])
        model = upon(backbone, kept["rank"]) if shared else with_adapters(base, kept["rank"], seed=0)
        result = set_peft_model_state_dict(model, load_file(folder / "adapter.safetensors"))
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        if result.unexpected_keys or trained & set(result.missing_keys):
            raise InputError("does not fit its base", file=folder / "adapter.safetensors", value=kept["base"],
                             remedy="Train again with this version")  # fmt: skip
        scorer = cls(model, AutoTokenizer.from_pretrained(folder), **kept)
        return scorer if shared else scorer.merged()

    def merged(self) -> SequenceScorer:
        """With the adapters added into the base's weights in memory: as fast as the base alone, no longer trainable."""
        self.model.merge_adapter()
        return self


def _batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Positions of rows, longest first, in batches of at most `tokens` tokens with their padding (or one row)."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        n = max(1, tokens // lengths[order[0]])
        yield order[:n]
        order = order[n:]

"""Policies on disk and in memory: a frozen base, named and digested, and one LoRA adapter on it.

SFT makes the adapter (Hu et al. 2021, arXiv:2106.09685); DPO and PPO go on training the same one. So a policy of any
size is a few megabytes, and every role that a training needs stands on one set of base weights:

    <folder>/policy.json     the base: name, revision, digest, and how it is loaded
             adapter/        the adapter, as peft writes it (safetensors)
             tokenizer/      the tokenizer with its chat template
             queries.jsonl   what the policy was taught to answer; missing where there is no such list
             README.md       the card
             merged/         base and adapter as one model, on request
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from memozy.records import QUERIES, InputError, read_jsonl, write_jsonl
from memozy.weights import Weights, model_digest, model_folder

if TYPE_CHECKING:
    from memozy.modeling import LanguageModel

ADAPTER = "default"  # its name on the backbone; TRL looks for it by this one
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}  # nats a token, between a policy and the same one read back
PROBE = "사진 일기를 쓰는 모델에게 줄 프롬프트를 써 주세요."


@dataclass(frozen=True)
class Base:
    """The frozen model under an adapter. model: a folder or hub name. digest: SHA-256 over configuration and weights."""

    model: str
    revision: str | None
    digest: str
    weights: Weights


@dataclass
class Policy:
    """lm: its model is a PeftModel whose active, trainable adapter is ADAPTER. queries: what it was taught to answer."""

    lm: LanguageModel
    base: Base
    queries: list[str] = field(default_factory=list)


def start(model: str, weights: Weights, rank: int, seed: int) -> Policy:
    """A policy to train: with a fresh adapter, which changes nothing yet, on a folder's or hub's model; or, where `model`
    is a policy's folder, that policy, whose rank and weights it keeps.

    Raises InputError where the model cannot be had, or `weights` are of four bits (not trained yet).
    """
    if (Path(model) / "policy.json").is_file():
        return load(Path(model))
    import torch
    from peft import LoraConfig, get_peft_model

    from memozy.modeling import LanguageModel

    if weights.four_bit:
        raise InputError("an adapter on weights of four bits is not trained here yet", field="weights.four_bit",
                         value=True, remedy="Use bfloat16")  # fmt: skip
    folder = model_folder(model, weights.revision, weights.remote_code)
    commit = None if Path(model).is_dir() else folder.name  # a branch may move on
    lm = LanguageModel.load(model, weights)
    with torch.random.fork_rng(), _quiet():
        torch.manual_seed(seed)  # half of a fresh adapter is drawn from the global generator, the other half is 0
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        lm.model = get_peft_model(lm.model, lora, adapter_name=ADAPTER).eval()
    return Policy(lm, Base(model, commit, model_digest(folder), weights))


def load(folder: Path) -> Policy:
    """The policy that `save` wrote, its adapter trainable.

    Raises InputError where a file is missing, or the base cannot be had or is another than the adapter was trained on.
    """
    from peft import PeftModel
    from transformers import AutoTokenizer

    from memozy.modeling import LanguageModel

    file = folder / "policy.json"
    if not file.is_file():
        raise InputError("no such file", file=file, remedy="Give the folder of a policy, as train_sft writes it")
    kept = json.loads(file.read_text(encoding="utf-8"))
    base = Base(**{**kept, "weights": Weights(**kept["weights"])})
    pinned = base.weights.model_copy(update={"revision": base.revision})
    present = model_digest(model_folder(base.model, base.revision, pinned.remote_code))
    if present != base.digest:
        raise InputError("is not the base this policy was trained on: its weights or configuration have changed",
                         file=file, field="model", value=base.model,
                         remedy="Put the old base back there, or train again on this one")  # fmt: skip
    lm = LanguageModel.load(base.model, pinned)
    with _quiet():
        model = PeftModel.from_pretrained(lm.model, folder / "adapter", adapter_name=ADAPTER, is_trainable=True).eval()
    queries = folder / "queries.jsonl"
    known = read_jsonl(queries, QUERIES)["query"].to_list() if queries.exists() else []
    return Policy(LanguageModel(model, AutoTokenizer.from_pretrained(folder / "tokenizer")), base, known)


def save(policy: Policy, folder: Path, card: str, merge: bool = False) -> None:
    """Write the policy; card: Markdown about it. merge: base and adapter as one model too, for whoever serves it.

    What was written is read back and must say what the policy says. Raises RuntimeError where it doesn't.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter").mkdir(exist_ok=True)
    _save_adapter(policy, folder / "adapter")
    policy.lm.tokenizer.save_pretrained(folder / "tokenizer")
    kept = {**vars(policy.base), "weights": policy.base.weights.model_dump()}
    (folder / "policy.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if policy.queries:
        write_jsonl(({"query": q} for q in policy.queries), folder / "queries.jsonl")
    (folder / "README.md").write_text(card, encoding="utf-8")
    again = load(folder)
    _compare(policy, again.lm, folder / "adapter")
    if merge:
        from memozy.modeling import LanguageModel

        LanguageModel(again.lm.model.merge_and_unload(), policy.lm.tokenizer).save(folder / "merged")
        _compare(policy, LanguageModel.load(folder / "merged", policy.base.weights), folder / "merged")


def sample(folder: Path, n: int, *, max_new_tokens: int, temperature: float, seed: int,
           queries: Sequence[str] | None = None) -> list[str]:  # fmt: skip
    """`n` texts sampled from the policy in `folder`; `queries`, or those it was taught to answer, are taken in turn.

    Raises InputError as `load` does, or where there are no queries.
    """
    import torch

    from memozy.generation import generate

    policy = load(folder)
    asked = list(queries or policy.queries)
    if not asked:
        raise InputError("the policy was taught no queries", file=folder / "queries.jsonl", remedy="Give queries")
    ids = [policy.lm.chat_ids(asked[i % len(asked)]) for i in range(n)]
    rng = torch.Generator().manual_seed(seed)
    replies = generate(policy.lm, ids, max_new_tokens=max_new_tokens, temperature=temperature, rng=rng)
    return [policy.lm.text(tokens) for tokens in replies.tokens]


def _quiet():
    """peft asks models about names that transformers is giving up."""
    return warnings.catch_warnings(action="ignore", category=FutureWarning)


def _save_adapter(policy: Policy, folder: Path) -> None:
    """What peft's own `save_pretrained` writes, without its folder for the name and its card."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    model = policy.lm.model
    tensors = get_peft_model_state_dict(model, adapter_name=ADAPTER, save_embedding_layers=False)
    save_file(
        {name: t.detach().cpu().contiguous() for name, t in tensors.items()}, folder / "adapter_model.safetensors"
    )
    settings = model.peft_config[ADAPTER]
    inference, settings.inference_mode = settings.inference_mode, True
    settings.base_model_name_or_path = policy.base.model
    settings.save_pretrained(folder)
    settings.inference_mode = inference


def _compare(policy: Policy, again: LanguageModel, where: Path) -> None:
    import torch

    query = policy.queries[0] if policy.queries else PROBE
    ids = [policy.lm.chat_ids(query), again.chat_ids(query)]
    if ids[0] != ids[1]:
        raise RuntimeError(f"{where}: read back, it splits a query into other tokens")
    said = [
        lm.model(torch.tensor([ids[0]], device=lm.device)).logits.float().log_softmax(-1) for lm in (policy.lm, again)
    ]
    apart = (said[0].exp() * (said[0] - said[1])).sum(-1).abs().max().item()  # the largest KL of a position, nats
    if not apart < TOLERANCE[policy.base.weights.dtype]:
        raise RuntimeError(f"{where}: read back, it is {apart:.2g} nats a token from what was trained")

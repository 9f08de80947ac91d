"""Which weights a language model has, and how they are loaded: one way for every family, from a folder or a hub.

Nothing heavy is imported before weights are asked for. Pickled weights are never read.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.records import InputError
from memozy.stages import digest


class Weights(BaseModel):
    """How a causal LM is loaded, beside its name.

    revision: the commit of a hub model; a branch's name moves on. remote_code: run the code that comes with the
    model, which only a pinned revision makes a known quantity. chat_template: Jinja, in place of the tokenizer's own;
    without either a chat is plain text. four_bit: of a frozen model on a GPU (bitsandbytes, NF4).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str | None = None
    remote_code: bool = False
    chat_template: str | None = Field(None, min_length=1)
    dtype: Literal["float32", "bfloat16"] = "float32"
    four_bit: bool = False

    @model_validator(mode="after")
    def _remote_code_is_pinned(self):
        if self.remote_code and not re.fullmatch(r"[0-9a-f]{40}", self.revision or ""):
            raise ValueError("remote_code needs revision, the commit (40 hex digits) whose code you have read")
        return self


def model_folder(model: str, revision: str | None = None, code: bool = False) -> Path:
    """Where a model's files lie, fetched from the hub where `model` is no folder. code: its Python files too.

    Raises InputError where it cannot be had.
    """
    from huggingface_hub import snapshot_download

    if Path(model).is_dir():
        return Path(model)
    patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", *["*.py"] * code]
    try:
        return Path(snapshot_download(model, revision=revision, ignore_patterns=["*/*"], allow_patterns=patterns))
    except (OSError, ValueError) as error:
        raise InputError("no model can be loaded from here", field="model", value=model,
                         remedy=f"Put it there, or a link to it, or name a folder or hub name "
                                f"({str(error).splitlines()[0]})") from None  # fmt: skip


def model_digest(folder: Path) -> str:
    """SHA-256 over what a model computes with: config.json and its weights. Raises InputError where it has none."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / "config.json").is_file():
        raise InputError("holds no config.json and *.safetensors", file=folder,
                         remedy="Save the model with safe_serialization=True: pickled weights are never read")  # fmt: skip
    files = [(p, p.stat()) for p in (folder / "config.json", *weights)]
    return _listed_digest(tuple((p.name, p.resolve(), s.st_size, s.st_mtime_ns) for p, s in files))


@cache
def _listed_digest(files: tuple[tuple[str, Path, int, int], ...]) -> str:
    """SHA-256 over files of (name, path, size, mtime): a cross-validation starts from one base dozens of times."""
    return hashlib.sha256("".join(f"{name} {digest(path)}\n" for name, path, *_ in files).encode()).hexdigest()

"""Chat models that write diaries: one in this process (embedded or from a hub) or one behind an API.

Both take a list of prompts and give one completion for each, in order. What an API is asked is paid
for, so its prices must be known before the first call; the key comes from the environment only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.records import InputError
from memozy.stages import FileOrName, Progress


class LLMConfig(BaseModel):
    """Which chat model, and how it samples. Prices are US dollars per million tokens (0 for a local model)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["local", "openai"] = "local"
    model: FileOrName = "data/models/writer"  # a folder, a hub name, or the endpoint's model name
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(0.7, gt=0)
    batch_size: int = Field(256, ge=1)
    concurrency: int = Field(8, ge=1)
    usd_per_million_input: float | None = Field(None, ge=0)
    usd_per_million_output: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _prices_known(self):
        if self.backend == "openai" and None in (self.usd_per_million_input, self.usd_per_million_output):
            raise ValueError("the openai backend needs usd_per_million_input and usd_per_million_output (0 if free)")
        return self


@dataclass(frozen=True)
class Completion:
    text: str
    cost_usd: float


class ChatModel(Protocol):
    name: str
    chunk: int  # how many prompts to ask at once

    def complete(self, prompts: Sequence[str], seed: int) -> list[Completion]:
        """One completion per prompt, in order. The same prompts and seed give the same texts where the model can."""


def complete_all(
    llm: ChatModel, prompts: Sequence[str], seed: int, journal: Path, progress: Progress
) -> list[Completion]:
    """`llm.complete` in chunks, each written to `journal` (JSONL) before the next is asked for.

    Killed and called again with the same arguments it asks only for what is missing, so nothing is
    paid for twice; a line cut off by the kill counts as missing. Chunks are seeded by their place,
    so the texts do not depend on where it was killed.
    """
    kept: list[Completion] = []
    if journal.exists():
        whole = journal.read_text(encoding="utf-8").rpartition("\n")[0]
        kept = [Completion(**json.loads(line)) for line in filter(None, whole.split("\n"))]
        kept = kept[: len(kept) - len(kept) % llm.chunk if len(kept) < len(prompts) else len(prompts)]
        journal.write_text("".join(_line(c) for c in kept), encoding="utf-8")
        progress.advance(len(kept))
    with open(journal, "a", encoding="utf-8") as file:
        for start in range(len(kept), len(prompts), llm.chunk):
            fresh = llm.complete(prompts[start : start + llm.chunk], seed + start)
            file.write("".join(_line(c) for c in fresh))
            file.flush()
            kept += fresh
            progress.advance(len(fresh))
    return kept


def _line(completion: Completion) -> str:
    return json.dumps(vars(completion), ensure_ascii=False) + "\n"


def open_llm(config: LLMConfig, blank_ok: bool = False) -> ChatModel:
    """The chat model `config` names. blank_ok: the caller checks every answer, an endpoint's empty ones too.

    Raises InputError where it cannot be had.
    """
    return OpenAIChat(config, blank_ok) if config.backend == "openai" else LocalChat(config)


class LocalChat:
    """A causal LM in this process, frozen."""

    def __init__(self, config: LLMConfig) -> None:
        from memozy.modeling import LanguageModel

        try:
            self.lm = LanguageModel.load(config.model)
        except OSError as error:
            raise InputError("no model can be loaded from here", field="llm.model", value=config.model,
                             remedy=f"Give a folder or hub name ({str(error).splitlines()[0]})") from None  # fmt: skip
        self.config, self.name, self.chunk = config, config.model, config.batch_size

    def complete(self, prompts: Sequence[str], seed: int) -> list[Completion]:
        import torch

        from memozy.modeling import generate

        replies = generate(
            self.lm, [self.lm.chat_ids(p) for p in prompts], max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature, rng=torch.Generator().manual_seed(seed),
            batch_size=self.config.batch_size,
        )  # fmt: skip
        return [Completion(self.lm.text(tokens), 0.0) for tokens in replies.tokens]


class OpenAIChat:
    """An OpenAI-compatible endpoint: OPENAI_BASE_URL and OPENAI_API_KEY from the environment."""

    def __init__(self, config: LLMConfig, blank_ok: bool = False) -> None:
        if not os.environ.get("OPENAI_API_KEY"):
            raise InputError("no API key", field="OPENAI_API_KEY", remedy="Set it in the environment; never in YAML")
        self.config, self.name, self.chunk, self.blank_ok = config, config.model, config.concurrency, blank_ok

    def complete(self, prompts: Sequence[str], seed: int) -> list[Completion]:
        import asyncio

        return asyncio.run(self._complete(prompts, seed))

    async def _complete(self, prompts: Sequence[str], seed: int) -> list[Completion]:
        import asyncio

        from openai import AsyncOpenAI, OpenAIError

        gate = asyncio.Semaphore(self.config.concurrency)
        async with AsyncOpenAI(max_retries=5) as client:

            async def one(i: int, prompt: str) -> Completion:
                async with gate:
                    reply = await client.chat.completions.create(
                        model=self.config.model, messages=[{"role": "user", "content": prompt}], seed=seed + i,
                        max_tokens=self.config.max_new_tokens, temperature=self.config.temperature,
                    )  # fmt: skip
                return self._settle(reply)

            try:
                return list(await asyncio.gather(*(one(i, p) for i, p in enumerate(prompts))))
            except OpenAIError as error:
                raise InputError(f"the endpoint failed: {error}", field="OPENAI_BASE_URL", value=str(client.base_url),
                                 remedy="Check the address, the key and the model's name") from None  # fmt: skip

    def _settle(self, reply) -> Completion:
        text = ((reply.choices[0].message.content if reply.choices else None) or "").strip()
        if not text and not self.blank_ok:
            raise InputError("the endpoint returned an empty text", field="llm.model", value=self.config.model,
                             remedy="Raise llm.max_new_tokens or choose another model")  # fmt: skip
        if reply.usage is None:
            raise InputError("the endpoint reports no usage, so the cost is unknown", field="llm.model",
                             value=self.config.model, remedy="Use an endpoint that reports usage")  # fmt: skip
        million = 1_000_000
        cost = reply.usage.prompt_tokens * self.config.usd_per_million_input / million
        return Completion(text, cost + reply.usage.completion_tokens * self.config.usd_per_million_output / million)

"""Chat models: one in this process (embedded or from a hub) or one behind an API, asked in the same way.

Both take a list of requests and give one completion for each, in order. Every call goes through the ledger of the
run: what was answered before is not asked again, and what an API is asked is reserved before and settled after. Prices
and a budget must therefore be known before the first call; the key comes from the environment only.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy import ledger
from memozy.ledger import Answer
from memozy.records import InputError
from memozy.stages import FileOrName, Limit, Progress
from memozy.weights import Weights

FRAME_TOKENS = 64  # that a chat template puts around a message, at most
MILLION = 1_000_000


@dataclass(frozen=True)
class Request:
    """What a chat model is asked. image: a JPEG, sent as it is. schema: the JSON schema that the answer must follow."""

    prompt: str
    image: Path | None = None
    schema: dict | None = None


@dataclass(frozen=True)
class Completion:
    """An answer and what it cost, US dollars. failure: why there is none, in words; then `text` is empty."""

    text: str
    cost_usd: float
    failure: str | None = None


class LLMConfig(BaseModel):
    """Which chat model, and how it samples. Prices are US dollars per million tokens (0 for a local model).

    budget_usd: no call starts that could take the run's ledger, all stages together, past this. timeout_s: for one
    attempt at a call, of which there are up to 1 + `retries`. idempotent: the endpoint honours the header
    Idempotency-Key, so that a repeated call is billed once. structured: it can be held to a JSON schema.
    image_tokens: the most it counts for one image. personal_data: what happens to a telephone number and its like in a
    prompt before it leaves for an endpoint; a photo is sent as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["local", "openai"] = "local"
    model: FileOrName = "data/models/writer"  # a folder, a hub name, or the endpoint's model name
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(0.7, gt=0)
    batch_size: int = Field(256, ge=1)
    weights: Weights = Weights()  # of a local model: how they are loaded
    concurrency: Limit[int] = Field(8, ge=1)
    usd_per_million_input: float | None = Field(None, ge=0)
    usd_per_million_output: float | None = Field(None, ge=0)
    budget_usd: Limit[float | None] = Field(None, ge=0)
    timeout_s: Limit[float] = Field(60, gt=0)
    retries: Limit[int] = Field(5, ge=0)
    idempotent: bool = False
    structured: bool = True
    image_tokens: int = Field(2500, ge=0)
    personal_data: Literal["mask", "refuse", "send"] = "mask"

    @model_validator(mode="after")
    def _prices_known(self):
        prices = self.usd_per_million_input, self.usd_per_million_output
        if self.backend == "openai" and None in prices:
            raise ValueError("the openai backend needs usd_per_million_input and usd_per_million_output (0 if free)")
        if self.backend == "openai" and any(prices) and self.budget_usd is None:
            raise ValueError("a model with a price needs budget_usd, what the whole run may spend at most (US dollars)")
        return self

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars; 0 for a local model."""
        read, written = self.usd_per_million_input or 0.0, self.usd_per_million_output or 0.0
        return (input_tokens * read + output_tokens * written) / MILLION

    def worst_usd(self, requests: Sequence[str | Request]) -> float:
        """What the requests cost at most, each answered at full length.

        A token of a byte-level vocabulary is never less than one byte of UTF-8, so a text has no more tokens than
        bytes, whatever its language.
        """
        return sum(self.cost_usd(self._most_tokens(as_request(r)), self.max_new_tokens) for r in requests)

    def _most_tokens(self, request: Request) -> int:
        schema = json.dumps(request.schema, ensure_ascii=False) if request.schema and self.structured else ""
        text = len((request.prompt + schema).encode("utf-8", "surrogatepass"))
        return text + FRAME_TOKENS + (self.image_tokens if request.image else 0)


class ChatModel(Protocol):
    name: str

    def complete(self, requests: Sequence[str | Request], seed: int, progress: Progress | None = None,
                 failures_ok: bool = False) -> list[Completion]:  # fmt: skip
        """One completion per request, in order. The same requests and seed give the same texts where the model can.

        What the ledger knows is not asked again: the same stage, model, request, settings, seed and place among equal
        requests. So whoever was killed asks for the same list once more.
        failures_ok: a request that can't be answered has its `failure` told instead of ending them all.
        Raises InputError where the model can't be asked, or no further call fits into the budget.
        """


def open_llm(config: LLMConfig, blank_ok: bool = False) -> ChatModel:
    """The chat model `config` names. blank_ok: the caller checks every answer, an endpoint's empty ones too.

    Raises InputError where it cannot be had.
    """
    from memozy.endpoint import OpenAIChat

    return OpenAIChat(config, blank_ok) if config.backend == "openai" else LocalChat(config)


class LocalChat:
    """A causal LM in this process, frozen. It reads text only, and no schema binds it."""

    def __init__(self, config: LLMConfig) -> None:
        from memozy.modeling import LanguageModel

        self.lm = LanguageModel.load(config.model, config.weights)
        self.config, self.name, self._files = config, config.model, _files(Path(config.model))

    def complete(self, requests: Sequence[str | Request], seed: int, progress: Progress | None = None,
                 failures_ok: bool = False) -> list[Completion]:  # fmt: skip
        """See ChatModel. Batches are seeded by their place in the list, and each is in the ledger before the next."""
        if any(as_request(r).image for r in requests):
            raise InputError("a model in this process can't see images", field="llm.backend", value="local",
                             remedy="Use a multimodal endpoint, or send no images")  # fmt: skip
        book, size = ledger.current(), self.config.batch_size
        prompts = [as_request(r).prompt for r in requests]
        keys = [call.key for call in calls_of(prompts, seed, self.name, self._files, self.config.max_new_tokens,
                                              self.config.temperature, size,
                                              self.config.weights.model_dump())]  # fmt: skip
        known = book.known(keys)
        for start in range(0, len(keys), size):
            rows = [i for i in range(start, min(start + size, len(keys))) if keys[i] not in known]
            if rows:
                answers = self._batch([prompts[i] for i in rows], seed + start)
                fresh = dict(zip((keys[i] for i in rows), answers, strict=True))
                book.keep(self.name, fresh)
                known |= fresh
            if progress:
                progress.advance(min(size, len(keys) - start))
        return [Completion(known[key].text, 0.0) for key in keys]

    def _batch(self, prompts: list[str], seed: int) -> list[Answer]:
        import torch

        from memozy.generation import generate

        asked = [self.lm.chat_ids(p) for p in prompts]
        replies = generate(
            self.lm, asked, max_new_tokens=self.config.max_new_tokens, temperature=self.config.temperature,
            rng=torch.Generator().manual_seed(seed), batch_size=self.config.batch_size,
        )  # fmt: skip
        return [Answer(storable(self.lm.text(tokens)), 0.0, len(ids), len(tokens))
                for ids, tokens in zip(asked, replies.tokens, strict=True)]  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A request in its place. key: SHA-256 of all that decides the answer. replicate: how many equal ones stand before it."""

    key: str
    request: Request
    replicate: int


def calls_of(requests: Sequence[str | Request], seed: int, *decides: Any) -> list[Call]:
    """The calls of a list, in its order. decides: the model and those of its settings that an answer hangs on.

    Raises InputError where an image can't be read.
    """
    asked = [as_request(r) for r in requests]
    images = {r.image: _image_hash(r.image) for r in asked if r.image}
    seen: Counter[str] = Counter()
    calls = []
    for r in asked:
        whole = [ledger.current().stage, seed, decides, r.prompt, images.get(r.image), r.schema]
        text = json.dumps(whole, sort_keys=True)
        calls.append(Call(hashlib.sha256(f"{seen[text]}|{text}".encode()).hexdigest(), r, seen[text]))
        seen[text] += 1
    return calls


def as_request(request: str | Request) -> Request:
    return Request(request) if isinstance(request, str) else request


def storable(text: str) -> str:
    """Without the two things that databases and files refuse: halves of surrogate pairs, and zero bytes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "").strip()


def _image_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"the image can't be read ({error.strerror})", file=path, remedy="Put it there") from None


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """What stands for a model's folder in a key: names, sizes and times of its files. Of a hub's name, nothing."""
    files = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    return [(str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]

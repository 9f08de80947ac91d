"""A real HTTP server on loopback that speaks the OpenAI API, keeps its own bill, and fails as it is told to.

with serving(lambda prompt: prompt + "!", fault=shares({429: 0.1, "late": 0.05})) as endpoint:
    open_llm(PAID).complete([…], seed=0)
    assert endpoint.usd == …
"""

import asyncio
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from memozy.llm import LLMConfig

KEY = "sk-never-to-be-written-down"
PAID = LLMConfig(backend="openai", model="m", concurrency=4, usd_per_million_input=1.0, usd_per_million_output=2.0,
                 budget_usd=1.0)  # fmt: skip
DIARY = re.compile(r"<diary>\n(.*?)\n</diary>", re.DOTALL)
Fault = int | str | None


@dataclass
class Endpoint:
    """What the server does, and what it saw. One character is one token to it, and an image 100.

    answer: from the prompt to the text. fault: from the prompt and how often it was asked before (0, 1, …) to what goes
    wrong: nothing; a status such as 429; or, billed all the same, "late" (answered after `late_s`), "truncated" (half
    the JSON), "dropped" (the connection ends in the middle of the body), "blank" (an empty text) or "no usage".
    idempotent: a repeated Idempotency-Key is answered as before and not billed again.
    """

    answer: Callable[[str], str]
    fault: Callable[[str, int], Fault] = lambda prompt, before: None
    latency_s: float = 0.0
    late_s: float = 2.0
    retry_after_s: float | None = 0.01  # told with every 429, 500 and 503
    idempotent: bool = False
    prices: tuple[float, float] = (1.0, 2.0)  # US dollars per million tokens, in and out
    count: Callable[[str], int] = len
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)  # bodies, with "prompt", "images", "headers", "at"
    billed: Counter[str] = field(default_factory=Counter)  # how often, by Idempotency-Key
    paid: Counter[str] = field(default_factory=Counter)  # how often, by prompt
    asked: Counter[str] = field(default_factory=Counter)  # how often, by prompt, refused attempts included
    tokens: list[int] = field(default_factory=lambda: [0, 0])  # billed, in and out
    at_once: int = 0
    most_at_once: int = 0

    @property
    def usd(self) -> float:
        """The server's own bill."""
        return (self.tokens[0] * self.prices[0] + self.tokens[1] * self.prices[1]) / 1e6

    async def reply(self, asked: dict[str, Any]) -> tuple[int, bytes, Fault]:
        """Status, body, and what shall go wrong with sending it."""
        prompt = asked["prompt"]
        fault = self.fault(prompt, self.asked[prompt])
        self.asked[prompt] += 1
        if isinstance(fault, int):
            return fault, json.dumps({"error": {"message": f"status {fault}"}}).encode(), None
        text = "" if fault == "blank" else self.answer(prompt)
        written = min(self.count(text), asked["max_tokens"])
        usage = {"prompt_tokens": self.count(prompt) + 100 * asked["images"], "completion_tokens": written}
        key = asked["headers"]["idempotency-key"]
        if not (self.idempotent and self.billed[key]):
            self.billed[key] += 1
            self.paid[prompt] += 1
            self.tokens[0] += usage["prompt_tokens"]
            self.tokens[1] += written
        if fault == "late":
            await asyncio.sleep(self.late_s)
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
                "usage": None if fault == "no usage" else usage | {"total_tokens": sum(usage.values())}}  # fmt: skip
        whole = json.dumps(body).encode()
        return 200, whole[: len(whole) // 2] if fault == "truncated" else whole, fault

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as long as it lasts."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                asked = json.loads(await reader.readexactly(int(headers["content-length"])))
                content = asked["messages"][-1]["content"]
                parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
                asked |= {"prompt": parts[0]["text"], "images": len(parts) - 1, "headers": headers, "at": time.monotonic()}
                self.requests.append(asked)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(self.latency_s)
                status, body, fault = await self.reply(asked)
                self.at_once -= 1
                lines = [f"HTTP/1.1 {status} x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
                if self.retry_after_s is not None and status in (429, 500, 503):
                    lines.append(f"Retry-After: {self.retry_after_s}")
                writer.write("\r\n".join([*lines, "", ""]).encode() + (body[:-20] if fault == "dropped" else body))
                await writer.drain()
                if fault == "dropped":
                    break
        writer.close()


def shares(of: Mapping[Fault, float], seed: int = 0) -> Callable[[str, int], Fault]:
    """Every fault for its share of the requests, by chance."""
    rng, kinds = random.Random(seed), [*of, None]
    weights = [*of.values(), 1 - sum(of.values())]
    return lambda prompt, before: rng.choices(kinds, weights)[0]


def grading(grade: Callable[[str], float]) -> Callable[[str], str]:
    """The answers of a judge that gives the last diary in the prompt `grade(its text)`."""
    return lambda prompt: json.dumps({"reason": "까닭", "rating": grade(judged(prompt))}, ensure_ascii=False)


def judged(prompt: str) -> str:
    """The diary that a judge is asked about."""
    return DIARY.findall(prompt)[-1]


@contextmanager
def serving(answer: Callable[[str], str], **options: Any) -> Iterator[Endpoint]:
    """The server, which the environment names as the endpoint."""
    endpoint, started = Endpoint(answer, **options), Future()

    async def work() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0, limit=2**24)
        endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        started.set_result(lambda: loop.call_soon_threadsafe(over.set))
        await over.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    stop = started.result(timeout=60)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_BASE_URL", endpoint.url)
        environment.setenv("OPENAI_API_KEY", KEY)
        try:
            yield endpoint
        finally:
            stop()
            thread.join()

"""A chat model behind an OpenAI-compatible API: many calls at a time, tried again, every attempt in the ledger."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from memozy import ledger, personal_data
from memozy.ledger import Answer
from memozy.llm import Call, Completion, LLMConfig, Request, as_request, calls_of, storable
from memozy.records import InputError
from memozy.stages import Progress

FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds between two attempts; doubled each time
MOST_PATIENCE = 300.0  # seconds an endpoint may ask to wait; if it asks for more, the call has failed
ROOM = 0.02  # seconds between two looks at whether the budget has room
MAY_PASS = (408, 409, 429)  # statuses after which another attempt may do better, as after any 5xx
FOR_ALL = (401, 402, 403, 404)  # a wrong key, an empty account, an unknown model: no other call would fare better


class OpenAIChat:
    """An OpenAI-compatible endpoint: OPENAI_BASE_URL and OPENAI_API_KEY from the environment."""

    def __init__(self, config: LLMConfig, blank_ok: bool = False) -> None:
        if not os.environ.get("OPENAI_API_KEY"):
            raise InputError("no API key", field="OPENAI_API_KEY", remedy="Set it in the environment; never in YAML")
        self.config, self.name, self.blank_ok = config, config.model, blank_ok

    def complete(self, requests: Sequence[str | Request], seed: int, progress: Progress | None = None,
                 failures_ok: bool = False) -> list[Completion]:  # fmt: skip
        """See ChatModel. `llm.concurrency` calls are under way at any time; equal ones are sent with seed, seed + 1, …"""
        asked = _guarded([as_request(r) for r in requests], self.config.personal_data)
        if not self.config.structured:
            asked = [replace(r, schema=None) for r in asked]
        calls = calls_of(asked, seed, os.environ.get("OPENAI_BASE_URL"), self.name, self.config.max_new_tokens,
                         self.config.temperature)  # fmt: skip
        known = ledger.current().known([call.key for call in calls])
        flight = _Flight(self.config, seed, self.blank_ok, failures_ok, progress)
        for key, answer in known.items():
            flight.land(key, answer)
        missing = [call for call in calls if call.key not in known]
        if missing:
            asyncio.run(flight.run(missing))
        return [flight.done[call.key] for call in calls]


class _Fault(Exception):
    """An attempt brought no answer. billed: it may have been paid for all the same. wait: as the endpoint asks, seconds."""

    def __init__(self, problem: str, *, billed: bool, status: int | None = None, wait: float | None = None) -> None:
        super().__init__(problem)
        self.billed, self.wait, self.status = billed, wait, status
        self.may_pass = (status is None or status in MAY_PASS or status >= 500) and (wait or 0) <= MOST_PATIENCE


@dataclass
class _Flight:
    """One list of calls under way. Once one of them has failed for good no attempt is begun, and what was begun ends."""

    config: LLMConfig
    seed: int
    blank_ok: bool
    failures_ok: bool
    progress: Progress | None
    done: dict[str, Completion] = field(default_factory=dict)

    async def run(self, calls: Sequence[Call]) -> None:
        from openai import AsyncOpenAI

        self.gate, self.room, self.stopped = asyncio.Semaphore(self.config.concurrency), asyncio.Lock(), asyncio.Event()
        errors: list[InputError] = []

        async def one(call: Call) -> None:
            try:
                await self._call(client, call)
            except InputError as error:
                errors.append(error)
                self.stopped.set()

        async with AsyncOpenAI(max_retries=0, timeout=None) as client:  # every attempt is ours, for the ledger's sake
            self.create = client.chat.completions.with_raw_response.create  # loads its modules: not in a call's time
            await asyncio.gather(*(one(call) for call in calls))
        if errors:
            raise errors[0]

    def land(self, key: str, answer: Answer) -> None:
        """Take an answer, old or new. Raises InputError for a blank one where that won't do."""
        failure = None if answer.text or self.blank_ok else "the endpoint returned an empty text"
        if failure and not self.failures_ok:
            raise InputError(failure, field="llm.model", value=self.config.model,
                             remedy="Raise llm.max_new_tokens or choose another model")  # fmt: skip
        self._finish(key, Completion(answer.text, answer.cost_usd, failure))

    def _finish(self, key: str, completion: Completion) -> None:
        self.done[key] = completion
        if self.progress:
            self.progress.advance()

    async def _call(self, client, call: Call) -> None:
        """One call to its end: answered, or given up after `llm.retries` more attempts."""
        for attempt in range(self.config.retries + 1):
            async with self.gate:
                if self.stopped.is_set():
                    return
                try:
                    self.land(call.key, await self._attempt(call))
                    return
                except _Fault as error:
                    fault = error
            if not fault.may_pass or attempt == self.config.retries:
                break
            wait = fault.wait
            if wait is None:  # who timed out or was cut off has waited already, the first time
                wait = min(FIRST_WAIT * 2**attempt, LONGEST_WAIT) if attempt or fault.status else 0.0
            try:  # while it waits, others have its place at the gate
                await asyncio.wait_for(self.stopped.wait(), wait * random.uniform(1.0, 1.25))
            except TimeoutError:
                pass
        if not self.failures_ok or fault.status in FOR_ALL:
            raise InputError(f"the endpoint failed: {fault}", field="OPENAI_BASE_URL", value=str(client.base_url),
                             remedy="Check the address, the key and the model's name")  # fmt: skip
        self._finish(call.key, Completion("", 0.0, str(fault)))

    async def _attempt(self, call: Call) -> Answer:
        """Reserve, send, settle. Raises _Fault where no answer came, InputError where the budget has no room."""
        book, idempotent = ledger.current(), self.config.idempotent
        worst = self.config.worst_usd([call.request])
        async with self.room:  # one call at a time waits for room
            while not book.reserve(call.key, model=self.config.model, worst_usd=worst,
                                   budget_usd=self.config.budget_usd, idempotent=idempotent):  # fmt: skip
                await asyncio.sleep(ROOM)
        try:
            answer = self._read(await self._send(call))
        except _Fault as fault:
            (book.lose if fault.billed else book.release)(call.key)
            raise
        except BaseException:  # interrupted, or no usage told: it may have been billed
            book.lose(call.key)
            raise
        book.settle(call.key, answer, idempotent)
        return answer

    async def _send(self, call: Call) -> Any:
        """The body of the endpoint's reply to one attempt. Raises _Fault."""
        from httpx import ConnectError, ConnectTimeout
        from openai import APIConnectionError, APIStatusError

        more = {}
        if call.request.schema is not None:
            schema = {"name": "answer", "strict": True, "schema": call.request.schema}
            more["response_format"] = {"type": "json_schema", "json_schema": schema}
        try:
            async with asyncio.timeout(self.config.timeout_s):
                reply = await self.create(
                    model=self.config.model, messages=[{"role": "user", "content": _content(call.request)}],
                    seed=self.seed + call.replicate, max_tokens=self.config.max_new_tokens,
                    temperature=self.config.temperature, extra_headers={"Idempotency-Key": call.key}, **more,
                )  # fmt: skip
            return json.loads(reply.http_response.content)
        except TimeoutError:
            raise _Fault(f"no answer within {self.config.timeout_s:g} s", billed=True) from None
        except APIStatusError as error:
            wait = _retry_after(error.response.headers)
            raise _Fault(str(error), billed=False, status=error.status_code, wait=wait) from None
        except APIConnectionError as error:
            never_sent = isinstance(error.__cause__, (ConnectError, ConnectTimeout))
            raise _Fault(f"{error} ({error.__cause__})", billed=not never_sent) from None
        except ValueError:
            raise _Fault("its answer was no whole JSON", billed=True) from None

    def _read(self, body: Any) -> Answer:
        """The answer in a reply's body. Raises InputError where it tells no usage, _Fault where it is no reply."""
        try:
            text = body["choices"][0]["message"]["content"] if body["choices"] else None
            usage = body.get("usage")
            tokens = usage and (int(usage["prompt_tokens"]), int(usage["completion_tokens"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _Fault("its answer was no chat completion", billed=True) from None
        if not tokens or min(tokens) < 0:
            raise InputError("the endpoint reports no usage, so the cost is unknown", field="llm.model",
                             value=self.config.model, remedy="Use an endpoint that reports usage")  # fmt: skip
        return Answer(storable(text or ""), self.config.cost_usd(*tokens), *tokens)


def _guarded(requests: list[Request], how: str) -> list[Request]:
    """The requests as they may leave (`llm.personal_data`). Raises InputError, which tells kinds and no more of them."""
    found = personal_data.find([r.prompt for r in requests]) if how != "send" else []
    if not len(found):
        return requests
    rows, kinds = set(found["row"]), ", ".join(sorted(set(found["kind"])))
    if how == "refuse":
        raise InputError(f"{len(rows)} of {len(requests)} requests, the first of them number {min(rows) + 1}, hold personal data "
                         f"({kinds})", field="llm.personal_data", value=how,
                         remedy="Take it out of the contexts or diaries, or set llm.personal_data to mask")  # fmt: skip
    print(f"… personal data masked in {len(rows)} of {len(requests)} requests: {kinds}", flush=True)
    return [replace(r, prompt=personal_data.masked(r.prompt)) if i in rows else r for i, r in enumerate(requests)]


def _content(request: Request) -> str | list[dict]:
    """The prompt, with the image beside it where there is one, as the API takes them."""
    if request.image is None:
        return request.prompt
    data = base64.b64encode(request.image.read_bytes()).decode()
    return [{"type": "text", "text": request.prompt},
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}]  # fmt: skip


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait, where it does so in a number (RFC 9110, 10.2.3; the date form is rare)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return None

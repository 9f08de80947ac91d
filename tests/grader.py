"""A real HTTP server on loopback that speaks the OpenAI API and grades diaries, for tests of the LLM judge."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from memozy.llm import LLMConfig

PAID = LLMConfig(backend="openai", model="m", concurrency=4, usd_per_million_input=1.0, usd_per_million_output=2.0)
DIARY = re.compile(r"<diary>\n(.*?)\n</diary>", re.DOTALL)


class Endpoint(BaseHTTPRequestHandler):
    """Gives the last diary in the prompt the grade `server.grade(text)`.

    A text that says «wrong once» or «wrong always» gets the server's `garbage` the first time or always; one that
    says «status N» gets that HTTP status the first time. Once `credit` answers are paid for, 402.
    """

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = asked["messages"][0]["content"]
        text = DIARY.findall(prompt)[-1]
        time.sleep(len(text) % 3 / 500)  # answers overtake each other
        with self.server.lock:
            self.server.tried[prompt] += 1
            status = re.search(r"status (\d+)", text)
            if status and self.server.tried[prompt] == 1:
                return self._send(int(status[1]), {"error": {"message": "no"}})
            if len(self.server.asked) >= self.server.credit:
                return self._send(402, {"error": {"message": "no credit"}})
            self.server.asked.append((text, asked))
            wrong = "wrong always" in text or ("wrong once" in text and self.server.paid[text] == 0)
            self.server.paid[text] += 1
            answer = json.dumps({"reason": "까닭", "rating": self.server.grade(text)}, ensure_ascii=False)
            answer = self.server.garbage if wrong else answer
            usage = {"prompt_tokens": len(prompt), "completion_tokens": len(answer), "total_tokens": 0}
            self.server.usd += (len(prompt) + 2 * len(answer)) / 1e6
        message = {"role": "assistant", "content": answer}
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        self._send(200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "usage": usage,
                         "choices": choices})  # fmt: skip

    def _send(self, status, reply):
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def grading_endpoint(grade: Callable[[str], float]) -> Iterator[ThreadingHTTPServer]:
    """The server, which the environment names as the endpoint. It counts what was tried and paid, and keeps every request."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.grade, server.lock, server.tried, server.paid, server.asked = grade, threading.Lock(), Counter(), Counter(), []
    server.usd, server.credit, server.garbage = 0.0, 10**9, "좋은 일기네요!"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        environment.setenv("OPENAI_API_KEY", "sk-never-to-be-written-down")
        yield server
    server.shutdown()
    server.server_close()

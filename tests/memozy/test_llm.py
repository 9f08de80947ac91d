"""Chat models: the endpoint is a real HTTP server on loopback that speaks the OpenAI API."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from memozy.llm import Completion, LLMConfig, complete_all, open_llm
from memozy.records import InputError
from memozy.stages import Progress


class Endpoint(BaseHTTPRequestHandler):
    """Answers «<prompt>!»; prompts that begin with a number get that HTTP status the first time."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = asked["messages"][0]["content"]
        self.server.asked.append(asked | {"authorization": self.headers["Authorization"]})
        seen = sum(a["messages"][0]["content"] == prompt for a in self.server.asked)
        status = int(prompt[:3]) if prompt[:3].isdigit() and (seen == 1 or prompt.endswith("always")) else 200
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"],
                 "choices": [{"index": 0, "finish_reason": "stop",
                              "message": {"role": "assistant", "content": "" if prompt == "empty" else prompt + "!"}}],
                 "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}  # fmt: skip
        body = json.dumps(reply if status == 200 else {"error": {"message": "no"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    yield server
    server.shutdown()
    server.server_close()


PAID = LLMConfig(backend="openai", model="m", usd_per_million_input=1.0, usd_per_million_output=2.0)


def test_one_completion_per_prompt_in_order_with_its_cost(endpoint):
    done = open_llm(PAID).complete([f"프롬프트 {i}" for i in range(20)], seed=7)
    # 10 tokens at $1 and 5 at $2 a million
    assert done == [Completion(f"프롬프트 {i}!", pytest.approx(20e-6)) for i in range(20)]
    assert {a["seed"] for a in endpoint.asked} == set(range(7, 27))
    assert {a["authorization"] for a in endpoint.asked} == {"Bearer secret"}


def test_a_passing_fault_is_retried_and_a_lasting_one_said(endpoint):
    assert open_llm(PAID).complete(["500 once"], seed=0)[0].text == "500 once!"
    with pytest.raises(
        InputError, match=r"OPENAI_BASE_URL', value 'http://127.0.0.1.*the endpoint failed.*Check the address"
    ):
        open_llm(PAID).complete(["401 always"], seed=0)


def test_an_empty_text_is_no_diary(endpoint):
    with pytest.raises(InputError, match="returned an empty text"):
        open_llm(PAID).complete(["empty"], seed=0)


def test_without_prices_or_key_nothing_starts(monkeypatch):
    with pytest.raises(ValueError, match="needs usd_per_million_input"):
        LLMConfig(backend="openai", model="m")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY'.*no API key. Set it in the environment"):
        open_llm(PAID)


class Counting:
    """A chat model that counts what it is asked."""

    name, chunk = "counting", 4

    def __init__(self):
        self.asked = []

    def complete(self, prompts, seed):
        self.asked += prompts
        return [Completion(f"{p}/{seed}", 0.5) for p in prompts]


def test_a_journal_is_never_paid_for_twice(tmp_path):
    prompts = [str(i) for i in range(10)]
    whole = complete_all(Counting(), prompts, 3, tmp_path / "whole", Progress("t", 10, "x"))
    assert [c.text for c in whole] == [f"{i}/{3 + i - i % 4}" for i in range(10)]
    lines = (tmp_path / "whole").read_text(encoding="utf-8").splitlines(keepends=True)
    for kept in range(11):
        journal, model = tmp_path / f"after{kept}", Counting()
        journal.write_text("".join(lines[:kept]) + (lines[kept][:9] if kept < 10 else ""), encoding="utf-8")
        assert complete_all(model, prompts, 3, journal, Progress("t", 10, "x")) == whole
        assert model.asked == prompts[kept - kept % 4 if kept < 10 else 10 :]

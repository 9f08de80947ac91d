"""Chat models. The endpoint is a real HTTP server on loopback that fails as it is told to and keeps its own bill."""

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memozy.ledger import open_ledger
from memozy.llm import Completion, LLMConfig, Request, open_llm
from memozy.records import InputError
from memozy.stages import Progress
from tests.endpoint import KEY, PAID, serving, shares
from tests.fakes import tiny_lm

ROOT = Path(__file__).resolve().parent.parent.parent
FAULTS = {429: 0.08, 500: 0.05, "late": 0.03, "truncated": 0.04, "dropped": 0.04}
PROMPTS = [f"프롬프트 {n}" for n in range(150)]
MANY = PAID.model_copy(update={"concurrency": 32, "timeout_s": 1.0, "retries": 9})


def echo(prompt):
    return prompt + "!"


def changed(config=PAID, **settings):
    return config.model_copy(update=settings)


def test_one_completion_per_request_in_order_with_its_cost():
    with serving(echo, latency_s=0.05) as endpoint:
        done = open_llm(PAID).complete([*PROMPTS[:20], PROMPTS[0], PROMPTS[0]], seed=7)
    # «프롬프트 0»: 6 tokens at $1 and 7 at $2 a million
    assert done[0] == done[20] == done[21] == Completion("프롬프트 0!", pytest.approx(20e-6))
    assert [d.text for d in done[:20]] == [p + "!" for p in PROMPTS[:20]]
    seeds = [(r["prompt"], r["seed"]) for r in endpoint.requests]
    assert sorted(seeds) == sorted([*((p, 7) for p in PROMPTS[:20]), (PROMPTS[0], 8), (PROMPTS[0], 9)])
    assert {r["headers"]["authorization"] for r in endpoint.requests} == {f"Bearer {KEY}"}
    assert len({r["headers"]["idempotency-key"] for r in endpoint.requests}) == 22
    assert endpoint.most_at_once == 4


def test_what_was_answered_is_never_asked_again(own_ledger):
    shown = Progress("t", 25, "x")
    with serving(echo) as endpoint:
        first = open_llm(PAID).complete(PROMPTS[:20], seed=7)
        assert open_llm(changed(concurrency=9, retries=0)).complete(PROMPTS[:25], 7, shown)[:20] == first
        assert shown.done == 25 and len(endpoint.requests) == 25
        for other in (changed(model="n"), changed(temperature=0.1), changed(max_new_tokens=9)):
            open_llm(other).complete(PROMPTS[:1], seed=7)
        open_llm(PAID).complete(PROMPTS[:1], seed=8)
        assert len(endpoint.requests) == 29
        with open_ledger("sqlite://", "another stage"):
            open_llm(PAID).complete(PROMPTS[:1], seed=7)
        assert len(endpoint.requests) == 30
        assert own_ledger.total().settled_usd + 20e-6 == pytest.approx(endpoint.usd, abs=1e-12)


@pytest.mark.parametrize("idempotent", [True, False])
def test_the_ledger_is_the_servers_own_bill_under_all_faults(idempotent, own_ledger):
    with serving(echo, fault=shares(FAULTS), idempotent=idempotent, late_s=1.3, latency_s=0.01) as endpoint:
        done = open_llm(changed(MANY, idempotent=idempotent)).complete(PROMPTS, seed=0)
    assert [d.text for d in done] == [p + "!" for p in PROMPTS]
    assert sum(endpoint.asked.values()) > 165  # it did fail
    total = own_ledger.total()
    assert (total.calls, total.reserved_usd) == (150, 0)
    if idempotent:
        assert set(endpoint.billed.values()) == {1}
        assert total.settled_usd == pytest.approx(endpoint.usd, abs=1e-9) and total.lost_usd == 0
    else:
        assert max(endpoint.billed.values()) > 1
        assert total.settled_usd < endpoint.usd <= total.settled_usd + total.lost_usd
    assert sum(d.cost_usd for d in done) == pytest.approx(total.settled_usd)


KILLED = """
import sys
from memozy.ledger import open_ledger
from memozy.llm import LLMConfig, open_llm
with open_ledger(sys.argv[1], "s"):
    open_llm(LLMConfig.model_validate_json(sys.argv[2])).complete([f"프롬프트 {n}" for n in range(100)], seed=0)
"""


@pytest.mark.parametrize("idempotent", [True, False])
def test_killed_in_the_middle_and_resumed_nothing_is_paid_twice(idempotent, tmp_path):
    url, config = f"sqlite:///{tmp_path / 'ledger.sqlite'}", changed(concurrency=8, idempotent=idempotent)
    with serving(echo, latency_s=0.05, idempotent=idempotent) as endpoint:
        process = subprocess.Popen([sys.executable, "-c", KILLED, url, config.model_dump_json()], cwd=ROOT,
                                   env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
        while len(endpoint.requests) < 42:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with open_ledger(url, "s") as book:
            done = book.total().calls
            assert 30 <= done < 100
            open_llm(config).complete(PROMPTS[:100], seed=0)
            total = book.total()
    assert len(endpoint.billed) == total.calls == 100
    twice = sum(endpoint.billed.values()) - 100
    if idempotent:
        assert twice == 0 and total.lost_usd == 0
        assert total.settled_usd == pytest.approx(endpoint.usd, abs=1e-9)
    else:
        assert twice <= 8 and total.settled_usd <= endpoint.usd + 1e-9
        assert endpoint.usd <= total.spent_usd + 1e-9


def test_the_budget_stops_it_and_a_higher_one_goes_on(own_ledger):
    requests = [Request(p) for p in PROMPTS[:40]]
    # at most 12 bytes («프롬프트») + 1 + 2 digits + 64 tokens of frame at $1, and 96 tokens at $2 a million
    worst = PAID.worst_usd(requests[10:11])
    assert worst == pytest.approx((15 + 64 + 96 * 2) / 1e6)
    budget = 3 * worst
    with serving(echo, latency_s=0.01) as endpoint:
        with pytest.raises(InputError, match="llm.budget_usd', value .*spent and .*nothing is paid twice"):
            open_llm(changed(budget_usd=budget, concurrency=8)).complete(requests, seed=0)
        stopped = own_ledger.total()
        assert stopped.reserved_usd == 0 and stopped.settled_usd == pytest.approx(endpoint.usd, abs=1e-12)
        # calls that fitted only when those under way had ended were waited for: one more would not have fitted
        assert budget - worst < endpoint.usd <= budget
        done = open_llm(changed(budget_usd=1.0)).complete(requests, seed=0)
    assert [d.text for d in done] == [r.prompt + "!" for r in requests]
    assert set(endpoint.paid.values()) == {1}


def test_a_passing_fault_is_retried_when_the_endpoint_says_and_a_lasting_one_said():
    once = lambda prompt, before: int(prompt[:3]) if prompt[:3].isdigit() and before == 0 else None  # noqa: E731
    with serving(echo, fault=once, retry_after_s=0.4) as endpoint:
        assert [d.text for d in open_llm(PAID).complete(["429 once", "500 once", "ok"], seed=0)] == ["429 once!", "500 once!", "ok!"]
        for prompt in ("429 once", "500 once"):
            first, second = (r["at"] for r in endpoint.requests if r["prompt"] == prompt)
            assert 0.4 <= second - first
    with serving(echo, fault=lambda prompt, before: 503 if prompt == "bad" else None) as endpoint:
        with pytest.raises(InputError, match=r"OPENAI_BASE_URL', value 'http://127.0.0.1.*the endpoint failed.*Check the address"):
            open_llm(changed(retries=2)).complete(["good", "bad"], seed=0)
        assert endpoint.asked == {"good": 1, "bad": 3}
        done = open_llm(changed(retries=1)).complete(["good", "bad", "better"], seed=0, failures_ok=True)
    assert [(d.text, "status 503" in (d.failure or "")) for d in done] == [("good!", False), ("", True), ("better!", False)]
    assert endpoint.paid == {"good": 1, "better": 1}


@pytest.mark.parametrize("status", [400, 401, 402])
def test_other_statuses_are_final_and_what_ails_every_call_ends_them_all(status, own_ledger):
    with serving(echo, fault=lambda prompt, before: status if prompt == "bad" else None) as endpoint:
        ask = lambda: open_llm(changed(concurrency=1)).complete(["bad", "good"], 0, failures_ok=True)  # noqa: E731
        if status == 400:
            assert [d.failure is None for d in ask()] == [False, True]
        else:
            with pytest.raises(InputError, match=f"status {status}"):
                ask()
    assert endpoint.asked["bad"] == 1 and endpoint.asked["good"] == (1 if status == 400 else 0)
    assert own_ledger.total().lost_usd == 0


def test_an_endpoint_that_is_not_there_costs_nothing(own_ledger):
    with serving(echo) as endpoint:
        pass
    os.environ |= {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": KEY}
    try:
        with pytest.raises(InputError, match="the endpoint failed: Connection error"):
            open_llm(changed(retries=1)).complete(["x"], seed=0)
    finally:
        del os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
    assert own_ledger.total().spent_usd == 0


def test_an_empty_text_is_no_answer_unless_the_caller_says_so(own_ledger):
    with serving(echo, fault=lambda prompt, before: "blank" if prompt == "blank" else None) as endpoint:
        for _ in range(2):  # the second time without paying
            with pytest.raises(InputError, match="returned an empty text. Raise llm.max_new_tokens"):
                open_llm(PAID).complete(["blank"], seed=0)
        [done] = open_llm(PAID).complete(["blank"], seed=0, failures_ok=True)
        assert (done.text, done.failure) == ("", "the endpoint returned an empty text") and done.cost_usd > 0
        assert open_llm(PAID, blank_ok=True).complete(["blank"], seed=0) == [Completion("", done.cost_usd)]
        assert endpoint.paid == {"blank": 1}


def test_without_usage_the_cost_is_unknown_and_counts_in_full(own_ledger):
    with serving(echo, fault=lambda prompt, before: "no usage") as endpoint:
        with pytest.raises(InputError, match="reports no usage"):
            open_llm(PAID).complete(["x"], seed=0, failures_ok=True)
    assert own_ledger.total().lost_usd == pytest.approx(PAID.worst_usd(["x"])) and endpoint.usd < PAID.worst_usd(["x"])


def test_an_image_and_a_schema_are_sent_as_the_api_has_them(tmp_path, own_ledger):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8 not looked at")
    schema = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"], "additionalProperties": False}
    asked = Request("무엇이 보이나?", tmp_path / "photo.jpg", schema)
    with serving(echo) as endpoint:
        for settings in ({}, {"structured": False}):
            [done] = open_llm(changed(**settings)).complete([asked], seed=0)
    strict, free = endpoint.requests
    text, image = strict["messages"][0]["content"]
    assert text == {"type": "text", "text": "무엇이 보이나?"}
    head, _, data = image["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64" and base64.b64decode(data) == b"\xff\xd8 not looked at"
    assert strict["response_format"]["json_schema"] == {"name": "answer", "strict": True, "schema": schema}
    assert "response_format" not in free
    # 20 bytes of Korean, 64 around them and 2,500 for the image at $1, 96 tokens at $2 a million
    assert changed(structured=False).worst_usd([asked]) == pytest.approx((20 + 64 + 2500 + 192) / 1e6)
    assert done.cost_usd == pytest.approx((8 + 100 + 9 * 2) / 1e6)
    (tmp_path / "photo.jpg").unlink()
    with serving(echo), pytest.raises(InputError, match="photo.jpg: the image can't be read"):
        open_llm(PAID).complete([asked], seed=0)


def test_without_prices_budget_or_key_nothing_starts(monkeypatch):
    with pytest.raises(ValueError, match="needs usd_per_million_input"):
        LLMConfig(backend="openai", model="m")
    prices = {"usd_per_million_input": 0, "usd_per_million_output": 0}
    assert LLMConfig(backend="openai", model="m", **prices).budget_usd is None  # free
    with pytest.raises(ValueError, match="needs budget_usd"):
        LLMConfig(backend="openai", model="m", **prices | {"usd_per_million_output": 1})
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY'.*no API key. Set it in the environment"):
        open_llm(PAID)


class Killed(Progress):
    """Ends the process, as far as the model can tell, after the second batch."""

    def advance(self, n=1, **numbers):
        super().advance(n, **numbers)
        if self.done == 8:
            raise KeyboardInterrupt


def test_a_model_in_this_process_goes_on_after_a_kill_as_if_there_had_been_none(tmp_path):
    tiny_lm().save(tmp_path / "lm")
    llm = open_llm(LLMConfig(model=str(tmp_path / "lm"), max_new_tokens=6, batch_size=4))
    prompts = ["바다", "산", "바다", "강", "길", "바다", "친구", "가족", "동생", "산"]
    with open_ledger("sqlite://", "s"):
        whole = llm.complete(prompts, seed=3)
    assert len(set(d.text for d in whole)) > 5
    with open_ledger(f"sqlite:///{tmp_path / 'l.sqlite'}", "s") as book:
        with pytest.raises(KeyboardInterrupt):
            llm.complete(prompts, 3, Killed("t", 10, "x"))
        assert book.total().calls == 8
        drawn = []
        batch = llm._batch
        llm._batch = lambda prompts, seed: drawn.append((prompts, seed)) or batch(prompts, seed)
        assert llm.complete(prompts, seed=3) == whole
        assert drawn == [(["동생", "산"], 11)]
        total = book.total()
        assert (total.calls, total.spent_usd) == (10, 0) and total.output_tokens > 10
    with pytest.raises(InputError, match="can't see images"):
        llm.complete([Request("무엇?", tmp_path / "x.jpg")], seed=0)

"""configs/diary.yaml, end to end: an OpenAI-compatible server on loopback with a real (tiny) model behind it."""

import csv
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from memozy.llm import LLMConfig, open_llm

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "sk-never-to-be-written-down"
SMALL = {
    "diaries.n_contexts": 8, "diaries.per_context": 2, "reward.folds": 3, "reward.repeats": 1, "sft.steps": 10,
    "ppo.updates": 1, "ppo.rollouts": 4, "ppo.contexts_per_prompt": 2, "proposals.candidates": 4,
    "proposals.contexts_per_prompt": 2, "evaluation.n_contexts": 30, "evaluation.pulls_per_look": 40,
    "evaluation.ratings_per_look": 24, "llm.max_new_tokens": 64,
}  # fmt: skip


@pytest.fixture(scope="module")
def endpoint(data):
    """Serves the embedded writer; counts the tokens it was paid for."""
    model = open_llm(LLMConfig(model=str(data / "models/writer"), max_new_tokens=64))
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = asked["messages"][-1]["content"]
            with one_at_a_time:
                [done] = model.complete([prompt], seed=asked["seed"])
                usage = {
                    "prompt_tokens": len(model.lm.chat_ids(prompt)),
                    "completion_tokens": len(model.lm.reply_ids(done.text)),
                }
                server.usd += (0.40 * usage["prompt_tokens"] + 1.60 * usage["completion_tokens"]) / 1e6
            message = {"role": "assistant", "content": done.text}
            reply = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"], "usage": usage | {"total_tokens": 0},
                     "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}  # fmt: skip
            body = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.usd = 0.0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def place(data, endpoint, tmp_path_factory):
    """The folder of a finished first round."""
    folder = tmp_path_factory.mktemp("diary")
    (folder / "data").symlink_to(data)
    done = run(folder, endpoint)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run(folder, endpoint, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "OPENAI_"))} | {
        "PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": f"http://127.0.0.1:{endpoint.server_port}/v1", "OPENAI_API_KEY": KEY,
    }  # fmt: skip
    sets = [part for key, value in (SMALL | more).items() for part in ("--set", f"{key}={value}")]
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "run",
        "optimize_prompt",
        "--config",
        str(ROOT / "configs/diary.yaml"),
        *sets,
    ]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def decision(folder):
    return json.loads((folder / "runs/diary/decision.json").read_text(encoding="utf-8"))


def test_nobody_has_rated_so_nothing_is_adopted_and_a_sheet_asks(place):
    assert decision(place)["decision"] == "undecided" and not decision(place)["simulated"]
    sheet = pl.read_csv(place / "runs/diary/stages/evaluate_prompts/out/to_rate")
    assert len(sheet) == 24 and "prompt_id" not in sheet.columns


def test_every_paid_call_is_in_the_books(place, endpoint):
    spent = sum(
        json.loads(path.read_text(encoding="utf-8"))["result"]["metrics"].get("cost_usd", 0.0)
        for path in (place / "runs/diary/stages").glob("*-*/done.json")
    )
    assert spent == pytest.approx(endpoint.usd, rel=1e-6)


def test_the_key_is_written_nowhere(place):
    for path in place.rglob("*"):
        if path.is_file() and not path.is_relative_to(place / "data"):
            assert KEY.encode() not in path.read_bytes(), path


def test_the_sheet_filled_in_where_it_lies_comes_back_in_the_next_run(place, endpoint):
    sheet = place / "runs/diary/round-1/to_rate.csv"
    with open(sheet, encoding="utf-8-sig", newline="") as file:
        items = list(csv.DictReader(file))
    for n, item in enumerate(items):
        item["rating"], item["rater_id"] = ("0.5", "0", "-0.5")[n % 3], "kim"
    with open(sheet, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, items[0])
        table.writeheader()
        table.writerows(items)
    back = {
        "evaluation.ratings": "runs/diary/round-1/to_rate.csv",
        "evaluation.previous": "runs/diary/round-1/pulls.parquet",
    }
    for _ in range(2):  # the same command twice is the same as once
        done = run(place, endpoint, **back)
        assert done.returncode == 0, done.stdout + done.stderr
        assert decision(place)["ratings_used"] == 24 and len(decision(place)["looks"]) == 1
        assert "--set evaluation.previous=runs/diary/round-2/pulls.parquet" in done.stdout
    assert done.stdout.count("kept from an earlier attempt") == 13
    assert len(pl.read_csv(place / "runs/diary/round-2/to_rate.csv")) > 0

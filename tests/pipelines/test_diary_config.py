"""configs/diary.yaml, end to end: an OpenAI-compatible server on loopback with a real (tiny) model behind it."""

import csv
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

from memozy.ledger import open_ledger
from memozy.llm import LLMConfig, open_llm
from pipelines.config import load
from pipelines.estimate import calls
from tests.endpoint import KEY, serving

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = {
    "diaries.n_contexts": 8, "diaries.per_context": 2, "reward.folds": 3, "reward.repeats": 1, "sft.steps": 4,
    "reward.candidates": "[constant, ensemble]", "reward.bootstrap": 100,
    "ppo.updates": 1, "ppo.rollouts": 4, "environment.inputs_per_prompt": 2, "proposals.candidates": 4,
    "proposals.contexts_per_prompt": 2, "evaluation.n_contexts": 30, "evaluation.pulls_per_look": 40,
    "evaluation.ratings_per_look": 24, "llm.max_new_tokens": 64,
}  # fmt: skip
STAGES = {"diaries": "generate_diaries", "ppo": "train_ppo", "proposals": "propose_prompts", "evaluation": "evaluate_prompts"}


@pytest.fixture(scope="module")
def endpoint(data):
    """Serves the embedded writer, at the prices of configs/diary.yaml for the tokens that it has read and written."""
    model = open_llm(LLMConfig(model=str(data / "models/writer"), max_new_tokens=64))

    def answer(prompt):
        [done] = model.complete([prompt], seed=0)
        return done.text

    with serving(answer, count=lambda text: len(model.lm.reply_ids(text)), prices=(0.40, 1.60)) as server:
        yield server


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
        "PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": KEY,
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
    sheets = [pl.read_csv(path) for path in sorted((place / "runs/diary/round-1/to_rate").iterdir())]
    assert [sheet["rater_id"].unique().to_list() for sheet in sheets] == [["rater-1"], ["rater-2"]]
    both = pl.concat(sheets)
    assert len(both) == pytest.approx(24, abs=3) and both["diary_id"].n_unique() == 22 and "prompt_id" not in both.columns


def test_every_paid_call_is_in_the_books(place, endpoint):
    with open_ledger(f"sqlite:///{place / 'runs/diary/ledger.sqlite'}") as book:
        assert book.total().spent_usd == pytest.approx(endpoint.usd, abs=1e-9)
    told = [json.loads(path.read_text(encoding="utf-8"))["result"]["metrics"].get("cost_usd", 0.0)
            for path in (place / "runs/diary/stages").glob("*-*/done.json")]  # fmt: skip
    assert sum(told) == pytest.approx(endpoint.usd, abs=1e-9)


def test_the_estimate_before_a_run_was_no_less_than_its_bill(place):
    estimated = defaultdict(list)
    config = load(ROOT / "configs/diary.yaml", [f"{key}={value}" for key, value in SMALL.items()])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for line in calls(config, ["diaries", "ppo", "proposals", "evaluation", "truth"]):
            estimated[STAGES[line.section]].append(line)
    with open_ledger(f"sqlite:///{place / 'runs/diary/ledger.sqlite'}") as book:
        rows = book.by_stage_and_model()
    assert {row["stage"] for row in rows} == set(estimated)
    for row in rows:
        lines = estimated[row["stage"]]
        assert row["calls"] <= sum(line.n for line in lines) and 0 < row["settled_usd"] < sum(line.usd for line in lines)


def test_the_key_is_written_nowhere(place):
    for path in place.rglob("*"):
        if path.is_file() and not path.is_relative_to(place / "data"):
            assert KEY.encode() not in path.read_bytes(), path


def test_the_sheets_filled_in_where_they_lie_come_back_in_the_next_run(place, endpoint):
    given = 0
    for sheet in (place / "runs/diary/round-1/to_rate").iterdir():
        with open(sheet, encoding="utf-8-sig", newline="") as file:
            items = list(csv.DictReader(file))
        for n, item in enumerate(items):
            item["rating"] = ("0.5", "0", "-0.5")[n % 3]
        given += len(items)
        with open(sheet, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, items[0])
            table.writeheader()
            table.writerows(items)
    back = {"evaluation.ratings": "runs/diary/round-1/to_rate", "evaluation.previous": "runs/diary/round-1/previous"}
    for _ in range(2):  # the same command twice is the same as once
        done = run(place, endpoint, **back)
        assert done.returncode == 0, done.stdout + done.stderr
        assert decision(place)["ratings_used"] == given and len(decision(place)["looks"]) == 1
        assert "--set evaluation.previous=runs/diary/round-2/previous" in done.stdout
    assert done.stdout.count("kept from an earlier attempt") == 17
    assert all(len(pl.read_csv(path)) > 0 for path in (place / "runs/diary/round-2/to_rate").iterdir())

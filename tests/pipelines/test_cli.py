"""What the command says and how it ends. Each call is a process of its own, as a person makes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def memozy(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipelines.cli", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "optimize_promt", "--config", "x.yaml"], "field 'PIPELINE', value 'optimize_promt': is not known"),
        (["run", "optimize_prompt", "--config", "x.yaml"], "x.yaml: no such file"),
        (["run", "optimize_prompt", "--config", "run.yaml", "--set", "ppo.updatez=3"], "Did you mean 'updates'?"),
        (["run", "optimize_prompt", "--config", "run.yaml", "--name", "../up"], "--name, value '../up'"),
        (["run", "optimize_prompt", "--config", "run.yaml"], "data/contexts.jsonl, field 'diaries.contexts'"),
        (["stages", "splitdata"], "field 'STAGE', value 'splitdata': is not known. Known: auto_rate, check_feedback"),
        (["compile", "nothing"], "field 'PIPELINE', value 'nothing': is not known"),
        (["run", "optimize_prompt", "--config", "run.yaml", "--dry-run"], "data/contexts.jsonl, field 'diaries.contexts'"),
        (["plan", "--rho2", "2"], "field 'rho2', value '2': Input should be less than 1"),
        (["verify-decision", "."], "holds no decision"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, arguments, said):
    (tmp_path / "run.yaml").write_text("seed: 1\n")
    done = memozy(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert said in done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"run.yaml"}  # nothing was written


def test_bad_input_that_a_stage_finds_is_one_line_too(tmp_path):
    """The file is there, and says nothing of ratings: only the stage that reads it can tell."""
    (tmp_path / "ratings.jsonl").write_text('{"diary_id": "1", "rater_id": "a", "note": 1}\n')
    (tmp_path / "run.yaml").write_text("feedback: {ratings: ratings.jsonl}\n")
    for name in ("contexts", "prompts", "instructions", "evaluation_contexts"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}.jsonl").write_text("{}\n")
    done = memozy("run", "retrain", "--config", "run.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ") and "ratings.jsonl, field 'rating': column is missing" in done.stderr
    assert "Traceback" in (tmp_path / "runs/run/log.txt").read_text()


def test_a_gate_that_stays_shut_ends_the_run_in_peace(tmp_path):
    (tmp_path / "ratings.jsonl").write_text('{"diary_id": "1", "rater_id": "a", "rating": 1}\n')
    (tmp_path / "run.yaml").write_text("feedback: {ratings: ratings.jsonl, min_new: 2}\n")
    for name in ("contexts", "prompts", "instructions", "evaluation_contexts"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}.jsonl").write_text("{}\n")
    done = memozy("run", "retrain", "--config", "run.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Not enough new feedback yet (1 new ratings and reactions): nothing was trained." in done.stdout
    assert {p.name for p in (tmp_path / "runs/run/stages").iterdir() if p.is_symlink()} == {"check_feedback"}


def test_stages_are_listed_with_what_they_do(tmp_path):
    done = memozy("stages", cwd=tmp_path)
    assert done.returncode == 0
    listed = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.split()]
    assert {"split_data", "train_ppo", "write_report"} <= {name for name, _ in listed}
    assert all(len(what) > 10 for _, what in listed)


def test_one_stage_alone_tells_what_it_takes(tmp_path):
    done = memozy("stages", "split_data", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--validated PATH" in done.stdout and "--rated PATH" in done.stdout


def test_compile_writes_what_it_names(tmp_path):
    done = memozy("compile", "train_policy", "--out", "ir", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip() == "ir/train_policy.yaml"
    assert (tmp_path / "ir/train_policy.yaml").read_text().startswith("# PIPELINE DEFINITION")


def test_help_loads_neither_kfp_nor_mlflow(tmp_path):
    code = (
        "import sys; sys.argv = ['memozy', '--help']\n"
        "from pipelines.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*sorted({'kfp', 'mlflow', 'torch', 'polars'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() in ("", "polars")  # polars comes with memozy.records
    assert "memozy run optimize_prompt --config configs/demo.yaml" in done.stdout


def test_a_plan_says_what_a_decision_takes(tmp_path):
    asked = ["plan", "--repetitions", "50", "--gap", "0.3", "--rho2", "0.5", "--usd-per-rating", "1", "--budget-usd", "500"]
    done = memozy(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line[0] != "…"]
    assert "human ratings" in said[1] and "judge" in done.stdout and "$500.00 buys" in said[-1]
    assert not list(tmp_path.iterdir())


def test_a_decision_is_verified_from_its_pulls(tmp_path):
    import json

    import polars as pl

    from components.evaluate_prompts.record import record
    from memozy.records import PULLS, write
    from tests.components.evaluate_prompts.test_replay import TABLE, made, settings

    rows = made()
    told = record(rows, settings(), TABLE, {"hashes": {}})
    folder = tmp_path / "runs/x/stages/evaluate_prompts/out"
    folder.mkdir(parents=True)
    write(pl.DataFrame(rows, schema=PULLS.dtypes), folder / "pulls", PULLS)
    (folder / "decision").write_text(json.dumps(told), encoding="utf-8")
    done = memozy("verify-decision", "runs/x", cwd=tmp_path)
    assert done.returncode == 0 and "Borne out" in done.stdout and told["sentence"] in done.stdout, done.stderr
    told["arms"][1]["estimate"] += 0.01
    (folder / "decision").write_text(json.dumps(told), encoding="utf-8")
    done = memozy("verify-decision", str(folder), cwd=tmp_path)
    assert done.returncode == 1 and "arms[1].estimate: the record says" in done.stdout and "NOT borne out" in done.stdout


def test_a_dry_run_says_what_a_run_may_cost_and_starts_nothing(tmp_path, data):
    (tmp_path / "data").symlink_to(data)
    sets = ["--set", "ratings.path=simulated", "--set", "llm.budget_usd=0.5"]
    config = str(ROOT / "configs/diary.yaml")
    done = memozy("run", "optimize_prompt", "--config", config, *sets, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *found, total, budget = done.stdout.splitlines()[1:]
    assert [line.split()[0] for line in found] == ["diaries", "ppo", "proposals", "evaluation"]
    assert sum(float(line.rpartition("$")[2]) for line in found) == pytest.approx(float(total.rpartition("$")[2][:-1]), abs=0.01)
    assert "800 calls of gpt-4.1-mini" in found[0]  # 100 contexts, each four times, and a refusal asked about once more
    assert budget.startswith("The budget is $0.5000. The run may stop there")
    judged = ["--set", "reward.candidates=[constant,ensemble,judge]", "--set", "evaluation.judge={backend: openai, model: j, "
              "usd_per_million_input: 9, usd_per_million_output: 9, budget_usd: 0.1}", "--set", "evaluation.scorer=judge"]  # fmt: skip
    done = memozy("run", "optimize_prompt", "--config", config, *sets, *judged, "--dry-run", cwd=tmp_path)
    lines = [line for line in done.stdout.splitlines() if "grades" in line]
    assert [line.split()[0] for line in lines] == ["reward", "ppo", "proposals", "evaluation"] and "800 calls" in lines[0]
    assert "800 calls of j" in lines[3] and done.stdout.splitlines()[-1].startswith("The budget is $0.1000.")
    assert [p.name for p in tmp_path.iterdir()] == ["data"]

"""The whole pipeline in processes of its own: interrupted, continued, and run again with nothing left to do."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-m", "pipelines.cli", "run", "optimize_prompt",
           "--config", str(ROOT / "configs/test.yaml"), "--name", "whole"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Where memozy is called: a folder with the sample data and nothing else."""
    if not (ROOT / "data/models/writer").is_dir():
        pytest.skip("data/ is not here: `make pull` fetches it")
    folder = tmp_path_factory.mktemp("whole")
    (folder / "data").symlink_to(ROOT / "data")
    return folder


def start(place: Path) -> subprocess.Popen:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(COMMAND, cwd=place, env=env, text=True, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


@pytest.fixture(scope="module")
def interrupted(place) -> tuple[int, str]:
    """Exit code and last words of a run that met Ctrl-C, which a terminal sends to every process of it."""
    process = start(place)
    for line in process.stdout:
        if line.startswith("✓ split_data"):
            break
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate()
    return process.returncode, error


@pytest.fixture(scope="module")
def continued(place, interrupted) -> str:
    process = start(place)
    output, error = process.communicate()
    assert process.returncode == 0, error + output
    return output


def test_an_interrupted_run_says_how_to_go_on(interrupted):
    code, said = interrupted
    assert code == 130
    assert "memozy run optimize_prompt" in said and "--name whole" in said
    assert "Traceback" not in said


def test_it_continues_and_closes_with_the_decision(place, continued):
    for stage in ("generate_diaries", "import_ratings", "validate_data", "split_data"):
        assert f"✓ {stage}: kept from an earlier attempt" in continued
    assert "[17/17]" in continued
    run = place / "runs/whole"
    decision = json.loads((run / "decision.json").read_text(encoding="utf-8"))
    assert decision["sentence"].rstrip(".") in continued
    assert "Report: runs/whole/report.html" in continued
    page = (run / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?https?:""", page)
    assert {p.name for p in place.iterdir()} == {"data", "runs", "mlflow.db", "mlflow.db.lock", "mlartifacts"}


def test_run_again_every_stage_is_kept(place, continued):
    process = start(place)
    output, error = process.communicate()
    assert process.returncode == 0, error
    ended = [line for line in output.splitlines() if line.startswith("✓")]
    assert len(ended) == 17 and all("kept from an earlier attempt" in line for line in ended)
    assert output[output.index("Decision") :] == continued[continued.index("Decision") :]


def test_one_tracked_run_with_a_child_for_every_stage(place, continued):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    [experiment] = [e for e in client.search_experiments() if e.name == "memozy"]
    runs = client.search_runs([experiment.experiment_id])
    [parent] = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert parent.info.run_name == "whole" and parent.info.status == "FINISHED"
    children = {r.info.run_name: r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    assert len(children) == len(runs) - 1 == 17
    version = json.loads((place / "runs/whole/stages/validate_data/out/version").read_text(encoding="utf-8"))
    digests = {d.dataset.name: d.dataset.digest for d in children["validate_data"].inputs.dataset_inputs}
    assert digests["ratings"] == version["version"]
    registered = json.loads((place / "runs/whole/stages/register_models/out/registered").read_text(encoding="utf-8"))
    assert registered["prompt-policy-candidate"] == "1"


def test_two_processes_cannot_share_a_run(place, continued):
    import fcntl

    with open(place / "runs/whole/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(place)
        _, error = process.communicate()
    assert process.returncode == 2
    assert error == "error: runs/whole: is running already. Wait, or give another --name\n"

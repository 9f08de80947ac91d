"""What tracking writes is read back from a real SQLite store by mlflow's own client."""

import json
import os
import subprocess
import sys
from pathlib import Path

from memozy import tracking

RECORD = {
    "stage": "train_ppo",
    "config": {"seed": 3, "llm": {"model": "data/models/writer"}},
    "inputs": {"sft": "a" * 64, "reward": "b" * 64},
    "seconds": 2.5,
    "finished": 1_700_000_000.0,
    "result": {"metrics": {"score": 0.5}, "curves": [{"step": 1, "kl": 0.1}, {"step": 4, "kl": 0.3}]},
}


def test_a_stage_becomes_a_child_run(mlflow_store, tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    parent = tracking.start_run("demo", {"seed": 3}, {"memozy.config": "x"})
    monkeypatch.setenv("MLFLOW_RUN_ID", parent)
    out = tmp_path / "out"
    out.mkdir()
    (out / "report").write_text("<!doctype html><p>일기</p>", encoding="utf-8")
    (out / "curves").write_text('{"step": 1}\n{"step": 2}\n')
    (out / "decision").write_text('{"decision": "adopt"}')
    (out / "to_rate").write_text("diary_id,text\n1,a\n")
    (out / "weights").write_bytes(b"PAR1\xff\x00")
    (out / "version").write_text(json.dumps({"version": "c" * 32 + ".dir"}))
    tracking.log_stage(RECORD, out)

    client = MlflowClient()
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    [child] = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert child.info.run_name == "train_ppo" and child.info.status == "FINISHED"
    assert child.info.end_time - child.info.start_time == 2500
    assert child.data.params == {"seed": "3", "llm.model": "data/models/writer"}
    assert child.data.metrics == {"score": 0.5, "seconds": 2.5, "kl": 0.3}
    history = client.get_metric_history(child.info.run_id, "kl")
    assert [(m.step, m.value) for m in history] == [(1, 0.1), (4, 0.3)]
    digests = {d.dataset.name: d.dataset.digest for d in child.inputs.dataset_inputs}
    assert digests == {"sft": "a" * 36, "reward": "b" * 36, "ratings": "c" * 32 + ".dir"}
    names = {f.path for f in client.list_artifacts(child.info.run_id)}
    assert names == {"report.html", "curves.jsonl", "decision.json", "to_rate.csv", "version.json"}
    assert experiment.artifact_location == f"file://{Path(mlflow_store.removeprefix('sqlite:///')).parent}/mlartifacts"


def test_the_same_run_is_resumed_and_other_settings_are_another(mlflow_store):
    from mlflow.tracking import MlflowClient

    first = tracking.start_run("it's", {"a": 1}, {"memozy.config": "x"})
    tracking.end_run(first, "KILLED")
    assert tracking.start_run("it's", {"a": 1}, {"memozy.config": "x"}) == first
    assert MlflowClient().get_run(first).info.status == "RUNNING"
    assert tracking.start_run("it's", {"a": 2}, {"memozy.config": "y"}) != first


def test_many_params_and_steps_are_logged_in_batches(mlflow_store, tmp_path):
    from mlflow.tracking import MlflowClient

    curves = [{"step": i, "loss": float(i)} for i in range(2500)]
    config = {f"k{i}": i for i in range(250)}
    (tmp_path / "out").mkdir()
    record = {"stage": "many", "config": config, "result": {"metrics": {}, "curves": curves}}
    tracking.log_stage(RECORD | record, tmp_path / "out")
    client = MlflowClient()
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    [run] = client.search_runs([experiment], "tags.`memozy.stage` = 'many'")
    assert len(run.data.params) == 250
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 2500


def test_processes_may_prepare_a_new_store_at_once(tmp_path):
    code = f"from memozy import tracking; tracking.prepare('sqlite:///{tmp_path}/new.db')"
    both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    errors = [p.communicate()[1].decode() for p in both]
    assert [p.returncode for p in both] == [0, 0], errors


def test_without_a_store_nothing_is_imported(tmp_path):
    code = (
        "import sys; from pathlib import Path; from memozy import tracking; "
        f"tracking.log_stage({RECORD!r}, Path({str(tmp_path)!r})); print('mlflow' in sys.modules)"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == "False"

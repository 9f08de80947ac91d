"""Curves that grow in a real SQLite store while a stage runs, killed, failed or without a store."""

import os
import signal
import subprocess
import sys
import time

import pytest

from memozy import tracking
from memozy.live import live
from tests.memozy.test_tracking import RECORD

CURVES = [{"step": u, "objective/score": u / 10, "objective/kl": 0.0} for u in range(6)]


@pytest.fixture
def client(mlflow_store, monkeypatch):
    """The store's own client; a pipeline run is going on."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_RUN_ID", tracking.start_run(f"run-{os.urandom(4).hex()}", {}, {}))
    return MlflowClient()


def children(client):
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{os.environ['MLFLOW_RUN_ID']}'")


def steps(client, run, name="objective/score"):
    return sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, name))


@pytest.fixture
def work(tmp_path):
    for name in ("work", "out"):
        (tmp_path / name).mkdir()
    return tmp_path / "work"


def finish(work, curves):
    tracking.log_stage(RECORD | {"result": {"metrics": {"score": 0.5}, "curves": curves}}, work.parent / "out")


KILLED = """
import os, signal, sys, time
from pathlib import Path
from memozy.live import Live, live
Live.EVERY = 0.05
with live("train_ppo", Path(sys.argv[1])) as curves:
    curves.log([{"step": u, "objective/score": u / 10, "objective/kl": 0.0} for u in range(3)])
    time.sleep(120)
"""


def test_a_killed_attempt_is_gone_on_with_in_its_run_and_nothing_stands_twice(client, work):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(work)])
    while not [run for run in children(client) if len(steps(client, run)) == 3]:  # seen while it runs
        assert process.poll() is None
        time.sleep(0.1)
    [run] = children(client)
    assert run.info.status == "RUNNING" and run.info.run_name == "train_ppo"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with live("train_ppo", work) as curves:
        curves.log(CURVES[:4])  # as the checkpoint holds them, one more than was sent
        curves.log(CURVES[4:5])
    finish(work, [row | {"kept": 1.0} if row["step"] == 4 else row for row in CURVES])
    [run] = children(client)
    assert run.info.status == "FINISHED" and run.data.params["llm.model"] == "data/models/writer"
    assert steps(client, run) == [(u, u / 10) for u in range(6)]
    assert steps(client, run, "kept") == [(4, 1.0)]
    assert run.data.metrics["score"] == 0.5 and run.info.end_time == 1_700_000_000_000
    finish(work, CURVES)
    assert len(children(client)) == 1 and len(steps(client, run)) == 6, "logged once more, it is the same"


def test_a_failed_attempt_is_shown_as_failed(client, work):
    with pytest.raises(ValueError, match="no"), live("train_ppo", work) as curves:
        curves.log(CURVES[:2])
        raise ValueError("no")
    [run] = children(client)
    assert run.info.status == "FAILED" and len(steps(client, run)) == 2


def test_another_pipeline_run_has_a_run_of_its_own(client, work, monkeypatch):
    with live("train_ppo", work) as curves:
        curves.log(CURVES)
    monkeypatch.setenv("MLFLOW_RUN_ID", tracking.start_run(f"other-{os.urandom(4).hex()}", {}, {}))
    finish(work, CURVES)
    [run] = children(client)
    assert len(steps(client, run)) == 6


def test_the_stage_goes_on_when_the_store_is_down(work, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with live("train_ppo", work) as curves:
        curves.log(CURVES)
    assert "… train_ppo: MLflow does not take its curves" in capsys.readouterr().out


def test_what_the_store_did_not_take_at_first_is_sent_later(client, mlflow_store, work, monkeypatch):
    log_curves, failures = tracking.log_curves, iter([True, False])

    def failing_once_half_done(run_id, rows, doubtful):
        log_curves(run_id, rows, doubtful)
        if rows and next(failures, False):
            raise ConnectionError

    monkeypatch.setattr(tracking, "log_curves", failing_once_half_done)
    monkeypatch.setattr("memozy.live.Live.EVERY", 0.05)
    with live("train_ppo", work) as curves:
        curves.log(CURVES)
    [run] = children(client)
    assert steps(client, run) == [(u, u / 10) for u in range(6)]


def test_without_a_store_there_is_nothing_to_log_to(work, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with live("train_ppo", work) as curves:
        assert curves is None

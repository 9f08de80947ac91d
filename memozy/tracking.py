"""MLflow: one run per pipeline run, a child run per stage. mlflow is imported only where something is logged.

Which store, and which parent run, is said by the environment alone: MLFLOW_TRACKING_URI and
MLFLOW_RUN_ID. Without the first nothing is tracked; with the second its experiment is used as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import Metric

EXPERIMENT = "memozy"
MAX_BATCH = 100  # the most params a store takes in one request; of metrics it takes 1000
MAX_TEXT = 1_000_000  # bytes of an output that is logged as an artifact; pages, which hold plots, may be ten times that


def prepare(uri: str) -> None:
    """Make the store at `uri` ready, once and before stages fan out: a store's first use is not safe in parallel.

    A SQLite store's artifacts lie beside its file. Safe on a store that exists and when called twice at once.
    """
    import fcntl
    import logging

    import mlflow  # noqa: F401 - it sets its own log level when imported

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # or a new store prints a hundred lines of migrations
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not uri.startswith("sqlite:///"):
        _client(uri).search_experiments(max_results=1)
        return
    path = Path(uri.removeprefix("sqlite:///")).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = _client(uri)
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(EXPERIMENT, artifact_location=(path.parent / "mlartifacts").as_uri())


def start_run(name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """The id of the pipeline run `name`: the one that has exactly these tags, else a new one with `params`."""
    client = _client()
    experiment_id = _experiment(client)
    key = hashlib.sha256(json.dumps([name, dict(tags)]).encode()).hexdigest()  # mlflow's filters can't quote a quote
    found = client.search_runs([experiment_id], f"tags.`memozy.key` = '{key}'", max_results=1)
    if found:
        run_id = found[0].info.run_id
        client.set_terminated(run_id, status="RUNNING")
        return run_id
    run = client.create_run(experiment_id, run_name=name, tags={**tags, "memozy.key": key})
    _log_params(client, run.info.run_id, params)
    return run.info.run_id


def current_run(name: str) -> str:
    """The run that artifacts belong to: the pipeline run MLFLOW_RUN_ID, or a new one called `name`."""
    if "MLFLOW_RUN_ID" in os.environ:
        return os.environ["MLFLOW_RUN_ID"]
    client = _client()
    return client.create_run(_experiment(client), run_name=name).info.run_id


def end_run(run_id: str, status: str) -> None:
    """Close the pipeline run: FINISHED, FAILED or KILLED."""
    _client().set_terminated(run_id, status=status)


def log_report(path: Path) -> None:
    """Put the report beside the pipeline run itself."""
    if "MLFLOW_TRACKING_URI" in os.environ and "MLFLOW_RUN_ID" in os.environ:
        _client().log_artifact(os.environ["MLFLOW_RUN_ID"], str(path))


def log_stage(record: Mapping[str, Any], out: Path) -> None:
    """One finished stage as a child of the run MLFLOW_RUN_ID; nothing where MLFLOW_TRACKING_URI is unset.

    `record` is what `execute` keeps in done.json: stage, config, inputs (name -> SHA-256), seconds,
    finished (Unix time) and result (metrics, curves). `out` is the folder of the stage's outputs, of
    which the texts (pages, JSON, JSONL, CSV) become artifacts. A run that `memozy.live` began is completed.
    """
    if "MLFLOW_TRACKING_URI" not in os.environ:
        return
    client, begun = _client(), _live_file(out.parent)
    finished = int(record["finished"] * 1000)
    metrics = _metrics([{"step": 0, **record["result"]["metrics"], "seconds": record["seconds"]}], finished)
    metrics += _metrics(record["result"]["curves"], finished)
    if begun.is_file():
        run_id = begun.read_text(encoding="utf-8")
        metrics = _unknown(client, run_id, metrics)
    else:
        run_id = _child_run(client, record["stage"], finished - int(record["seconds"] * 1000))
    _log_params(client, run_id, record["config"])
    _log_metrics(client, run_id, metrics)
    _log_inputs(client, run_id, record["inputs"], out / "version")
    for name, text in _texts(out):
        client.log_text(run_id, text, name)
    client.set_terminated(run_id, end_time=finished)


def live_run(stage: str, cell: Path) -> str:
    """The id of the run in which a stage's attempts in `cell` show their curves; `log_stage` will complete it."""
    client, file = _client(), _live_file(cell)
    if file.is_file():
        run_id = file.read_text(encoding="utf-8")
        client.update_run(run_id, status="RUNNING")
        return run_id
    run_id = _child_run(client, stage)
    scratch = file.with_suffix(".tmp")
    scratch.write_text(run_id, encoding="utf-8")
    scratch.replace(file)
    return run_id


def log_curves(run_id: str, rows: Sequence[Mapping[str, float]], doubtful: bool) -> None:
    """Append rows of curves, numbers by name with their `step`. doubtful: some of them may stand there already."""
    client, metrics = _client(), _metrics(rows, int(time.time() * 1000))
    _log_metrics(client, run_id, _unknown(client, run_id, metrics) if doubtful else metrics)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def _client(uri: str | None = None):
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _experiment(client) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT)


def _child_run(client, stage: str, started: int | None = None) -> str:
    """The id of a new run for `stage`, a child of MLFLOW_RUN_ID where there is one. started: Unix time in ms."""
    tags = {"memozy.stage": stage}
    if parent := os.environ.get("MLFLOW_RUN_ID"):
        experiment_id, tags["mlflow.parentRunId"] = client.get_run(parent).info.experiment_id, parent
    else:
        experiment_id = _experiment(client)
    return client.create_run(experiment_id, started, tags, stage).info.run_id


def _live_file(cell: Path) -> Path:
    """Where a stage's attempts keep the id of the run that shows them live, one for each pipeline run."""
    return cell / f"live-{os.environ.get('MLFLOW_RUN_ID', 'alone')}"


def _metrics(rows: Sequence[Mapping[str, float]], at: int) -> list[Metric]:
    """Rows of curves as metrics; a row without `step` is counted. at: Unix time in ms."""
    from mlflow.entities import Metric

    return [Metric(name, float(value), at, int(row.get("step", i)))
            for i, row in enumerate(rows) for name, value in row.items() if name != "step"]  # fmt: skip


def _unknown(client, run_id: str, metrics: list[Metric]) -> list[Metric]:
    """Those of `metrics` that the run has no number for at their step."""
    known = {name: {m.step for m in client.get_metric_history(run_id, name)} for name in {m.key for m in metrics}}
    return [m for m in metrics if m.step not in known[m.key]]


def _log_metrics(client, run_id: str, metrics: list[Metric]) -> None:
    for batch in range(0, len(metrics), 10 * MAX_BATCH):
        client.log_batch(run_id, metrics=metrics[batch : batch + 10 * MAX_BATCH])


def _log_params(client, run_id: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    rows = [Param(name, str(value)) for name, value in flat(params).items()]
    for batch in range(0, len(rows), MAX_BATCH):
        client.log_batch(run_id, params=rows[batch : batch + MAX_BATCH])


def _log_inputs(client, run_id: str, digests: Mapping[str, str], version: Path) -> None:
    """What went in, by its digest; and, where the stage made one, the data version under which it is kept."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    def dataset(name: str, digest: str, kind: str) -> DatasetInput:
        source = json.dumps({"digest": digest})
        return DatasetInput(Dataset(name, digest[:36], kind, source), [InputTag("mlflow.data.context", kind)])

    rows = [dataset(name, digest, "sha256") for name, digest in digests.items()]
    if version.is_file():
        rows.append(dataset("ratings", json.loads(version.read_text(encoding="utf-8"))["version"], "dvc"))
    if rows:
        client.log_inputs(run_id, datasets=rows)


def _texts(out: Path) -> Iterator[tuple[str, str]]:
    """The outputs that people read, as (name with the ending its content asks for, text)."""
    for path in sorted(p for p in out.iterdir() if p.is_file() and 0 < p.stat().st_size <= 10 * MAX_TEXT):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # Parquet and other binary formats
            continue
        kind = _kind(text)
        if kind == "html" or path.stat().st_size <= MAX_TEXT:
            yield f"{path.name}.{kind}", text


def _kind(text: str) -> str:
    if text.lstrip().startswith("<"):
        return "html"
    if not text.lstrip().startswith(("{", "[")):
        return "csv"
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return "jsonl"
    return "json"

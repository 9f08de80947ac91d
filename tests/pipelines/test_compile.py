"""Compiled pipelines: valid IR, and a task graph that changes only when somebody means it to.

After a wanted change: `python -m tests.pipelines.test_compile` writes the golden graphs anew.
"""

import json
from pathlib import Path

import pytest
import yaml

from pipelines.catalog import PIPELINES, compile_pipeline

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def compiled(name: str, folder: Path) -> dict:
    compile_pipeline(name, folder / f"{name}.yaml")
    return yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))


def graph(ir: dict) -> dict:
    """DAG -> task -> where each of its inputs comes from: "task.output", or the DAG's own parameter."""
    dags = {"root": ir["root"]} | {name: c for name, c in ir["components"].items() if "dag" in c}
    return {name: {task: _inputs(spec) for task, spec in c["dag"]["tasks"].items()} for name, c in dags.items()}


def _inputs(task: dict) -> dict[str, str]:
    found = {"when": task["triggerPolicy"]["condition"]} if "triggerPolicy" in task else {}
    for kind in ("parameters", "artifacts"):
        for name, source in task.get("inputs", {}).get(kind, {}).items():
            [(how, value)] = source.items()
            if how.startswith("taskOutput"):
                output = value.get("outputParameterKey") or value["outputArtifactKey"]
                found[name] = f"{value['producerTask']}.{output}"
            else:
                found[name] = value
    return found


@pytest.mark.parametrize("name", PIPELINES)
def test_task_graph_is_the_golden_one(name, tmp_path):
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert graph(compiled(name, tmp_path)) == golden


@pytest.mark.parametrize("name", PIPELINES)
def test_ir_is_a_strict_pipeline_spec(name, tmp_path):
    from google.protobuf.json_format import ParseDict
    from kfp.pipeline_spec import pipeline_spec_pb2

    ParseDict(compiled(name, tmp_path), pipeline_spec_pb2.PipelineSpec(), ignore_unknown_fields=False)


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_runs_in_a_pinned_image_and_installs_nothing(name, tmp_path):
    for executor in compiled(name, tmp_path)["deploymentSpec"]["executors"].values():
        container = executor["container"]
        assert not container["image"].endswith(":latest") and ":" in container["image"]
        assert "pip install" not in " ".join(container["command"])


def test_the_gate_is_never_cached(tmp_path):
    tasks = compiled("retrain", tmp_path)["root"]["dag"]["tasks"]
    assert "enableCache" not in tasks["check-feedback"]["cachingOptions"]


@pytest.mark.parametrize("name", ["train_policy", "optimize_prompt", "retrain"])
def test_what_takes_in_files_and_feedback_is_never_cached(name, tmp_path):
    """Else a run that was started because there is something new would train on what an earlier one found."""
    ir = compiled(name, tmp_path)
    dags = [ir["root"]["dag"], *(c["dag"] for c in ir["components"].values() if "dag" in c)]
    [options] = [task["cachingOptions"] for dag in dags for t, task in dag["tasks"].items() if t == "import-ratings"]
    assert "enableCache" not in options


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for pipeline in PIPELINES:
        text = json.dumps(graph(compiled(pipeline, GOLDEN)), indent=1, sort_keys=True)
        (GOLDEN / f"{pipeline}.yaml").unlink()
        (GOLDEN / f"{pipeline}.json").write_text(text + "\n", encoding="utf-8")

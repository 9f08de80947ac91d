"""The boundaries that keep stages apart, the library small and light imports light."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAGES = sorted(path.parent.name for path in ROOT.glob("components/*/component.py"))
LIBRARY = {
    "choices", "drift", "edits", "endpoint", "environments", "feedback", "fine_tuning", "generation", "ledger",
    "lineage", "live", "llm", "modeling", "personal_data", "policies", "preferences", "qna", "raters", "rating_files",
    "records", "reports", "reward", "sheets", "stages", "storage", "tables", "texts", "tracking", "versions",
    "weights",
}  # fmt: skip
HEAVY = {"torch", "pandas", "mlflow", "kfp"}
# pipelines meet stages in their signatures and settings; beyond that, only here:
ALLOWED = {
    ("pipelines.sample_data", "components.generate_diaries.assignment"),  # sample diaries are written like a run's
    ("pipelines.runner", "components.write_report.summary"),  # the terminal closes with the report's own words
    ("pipelines.cli", "components.evaluate_prompts.plan"),  # `memozy plan` and
    ("pipelines.cli", "components.evaluate_prompts.verify"),  # `memozy verify-decision` are this stage's own arithmetic
}


def test_import_contracts():
    done = subprocess.run([sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"],
                          cwd=ROOT, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_pipelines_import_only_components_and_configs():
    import grimp

    graph = grimp.build_graph("pipelines", "components")
    pairs = {
        (a, b) for a in graph.modules if a.startswith("pipelines") for b in graph.find_modules_directly_imported_by(a)
    }
    beyond = {
        (a, b) for a, b in pairs if b.startswith("components.") and b.split(".")[-1] not in ("component", "config")
    }
    assert beyond == ALLOWED


def test_the_library_is_a_closed_list():
    parts = {path.stem for path in (ROOT / "memozy").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"__init__", "__pycache__"} == LIBRARY  # a part is a module or a package


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_the_same_parts_as_every_other(stage):
    files = {path.name for path in (ROOT / "components" / stage).iterdir()}
    assert {"__init__.py", "__main__.py", "component.py", "config.py", "stage.py"} <= files
    assert "utils.py" not in files
    lines = (ROOT / "components" / stage / "component.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert not any("__future__" in line for line in lines)


@pytest.mark.parametrize("stage", STAGES)
def test_a_component_declares_what_its_stage_reads_and_writes(stage):
    from memozy.stages import artifacts

    spec = getattr(importlib.import_module(f"components.{stage}.component"), stage).component_spec
    inputs, outputs = spec.inputs or {}, spec.outputs or {}
    assert set(inputs) == {*artifacts(stage, "in"), "config"}
    assert inputs["config"].type == "Dict"
    assert set(outputs) - {"Output"} == set(artifacts(stage, "out"))


@pytest.mark.parametrize("stage", STAGES)
def test_settings_are_frozen_and_closed(stage):
    from memozy.stages import config_class

    model = config_class(stage)
    assert model.model_config["frozen"] and model.model_config["extra"] == "forbid"
    assert inspect.getdoc(model)


def test_light_modules_stay_light():
    light = [f"components.{stage}.config" for stage in STAGES]
    light += [f"memozy.{name}" for name in ("environments.config", "environments.hygiene", "records", "ledger", "llm", "qna", "stages", "storage", "tables", "texts", "versions", "edits", "feedback", "lineage.trace", "personal_data", "rating_files", "sheets")]
    light += ["pipelines.config", "pipelines.cli"]
    code = f"import sys, {', '.join(light)}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_stage_has_a_section_in_the_run_configuration():
    from pipelines.config import RunConfig, sections

    modules = {RunConfig.model_fields[name].annotation.__module__ for name in sections()}
    assert modules == {f"components.{stage}.config" for stage in STAGES}

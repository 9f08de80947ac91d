"""How a stage runs: whole outputs or none, finished work kept, changed work done again, mistakes in one line.

The stage here is a real one on disk: a package `components.scratch_stage`, made for the test.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memozy import stages
from memozy.ledger import open_ledger
from memozy.records import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = """
from pydantic import BaseModel, ConfigDict
from memozy.llm import LLMConfig
from memozy.stages import InputFile

class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    words: InputFile | None = None

class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    times: int = 1
    wait_for: str = ""
    forget: bool = False
    inner: Inner = Inner()
    llm: LLMConfig = LLMConfig(model="m", budget_usd=10.0)
    usd: float = 0.0
"""
STAGE = '''
import os, time
from pathlib import Path
from memozy import ledger
from memozy.records import InputError
from memozy.stages import In, Out, Result, Work

def run(config, *, text: In, upper: Out, parts: Out, work: Work) -> Result:
    """Write the text in capitals, and every line as a part."""
    with open(os.environ["CALLS"], "a") as calls:
        calls.write("resumed\\n" if (work / "checkpoint").exists() else "new\\n")
    (work / "checkpoint").write_text("half")
    if config.usd:
        book = ledger.current()
        book.reserve("call", model="m", worst_usd=config.usd, budget_usd=None)
        book.settle("call", ledger.Answer("hi", config.usd))
        book.reserve("killed", model="m", worst_usd=config.usd, budget_usd=None)
        book.lose("killed")
    if config.wait_for:
        upper.write_text("half")
        Path(config.wait_for).write_text("here")
        time.sleep(60)
    lines = text.read_text().splitlines()
    if not lines:
        raise InputError("holds no rows", file=text)
    upper.write_text(text.read_text().upper() * config.times)
    if not config.forget:
        parts.mkdir()
        for number, line in enumerate(lines):
            (parts / str(number)).write_text(line)
    return Result(metrics={"lines": len(lines)}, curves=[{"step": 1, "loss": 0.5}])
'''


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A folder with the stage beside the project's own, its calls in `calls`, and a run directory."""
    home = tmp_path / "home" / "components" / "scratch_stage"
    home.mkdir(parents=True)
    for name, text in (("config", CONFIG), ("stage", STAGE), ("__init__", "")):
        (home / f"{name}.py").write_text(text)
    import components

    monkeypatch.setattr(components, "__path__", [*components.__path__, str(home.parent)])
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("MEMOZY_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "text").write_text("a\nb\n")
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith("components.scratch_stage")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def execute(scratch, **config):
    outputs = {name: str(scratch / "outputs" / name) for name in ("upper", "parts")}
    return stages.execute("scratch_stage", config, {"text": str(scratch / "text")}, outputs)


def calls(scratch) -> list[str]:
    return (scratch / "calls").read_text().split()


def test_outputs_are_written_and_a_finished_stage_is_kept(scratch):
    first = execute(scratch)
    assert (scratch / "outputs/upper").read_text() == "A\nB\n"
    assert sorted(p.name for p in (scratch / "outputs/parts").iterdir()) == ["0", "1"]
    assert execute(scratch) == first == stages.Result({"lines": 2}, [{"step": 1, "loss": 0.5}])
    assert calls(scratch) == ["new"]
    record = json.loads((scratch / "run/stages/scratch_stage/done.json").read_text())
    assert record["result"]["metrics"] == {"lines": 2} and set(record["inputs"]) == {"text"}


@pytest.mark.parametrize("change", ["config", "input", "file in the config"])
def test_what_changes_is_run_again(scratch, change):
    words = scratch / "words"
    words.write_text("x")
    config = {"inner": {"words": str(words)}}
    execute(scratch, **config)
    if change == "config":
        config["times"] = 2
    elif change == "input":
        (scratch / "text").write_text("c\n")
    else:
        words.write_text("y")
    execute(scratch, **config)
    execute(scratch, **config)
    assert calls(scratch) == ["new", "new"]
    expected = {"config": "A\nB\nA\nB\n", "input": "C\n"}.get(change, "A\nB\n")
    assert (scratch / "outputs/upper").read_text() == expected


def test_without_a_run_directory_nothing_is_kept(scratch, monkeypatch):
    monkeypatch.delenv("MEMOZY_RUN_DIR")
    execute(scratch)
    execute(scratch)
    assert calls(scratch) == ["new", "new"]
    assert not (scratch / "run").exists()


def test_a_killed_stage_leaves_no_output_and_goes_on_from_its_checkpoint(scratch):
    here = scratch / "here"
    code = f"""
import components; components.__path__.append({str(scratch / "home/components")!r})
from memozy.stages import execute
execute("scratch_stage", {{"wait_for": {str(here)!r}}}, {{"text": {str(scratch / "text")!r}}},
        {{"upper": {str(scratch / "outputs/upper")!r}, "parts": {str(scratch / "outputs/parts")!r}}})
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ)
    while not here.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (scratch / "outputs").exists()
    cell = scratch / "run/stages/scratch_stage"
    assert not (cell / "out").exists() and not (cell / "done.json").exists()

    resumed = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ)
    while len(calls(scratch)) < 2:
        assert resumed.poll() is None
        time.sleep(0.02)
    resumed.kill()
    resumed.wait()
    assert calls(scratch) == ["new", "resumed"]


def test_what_a_stage_has_spent_is_in_its_metrics_and_in_the_ledger_of_the_run(scratch, monkeypatch, capsys):
    assert "cost_usd" not in execute(scratch).metrics
    assert execute(scratch, usd=0.25).metrics == {"lines": 2, "cost_usd": 0.5}
    assert capsys.readouterr().out.rstrip().endswith(" s, $0.5000")
    with open_ledger(f"sqlite:///{scratch / 'run/ledger.sqlite'}") as book:
        assert book.total("scratch_stage").settled_usd == book.total("scratch_stage").lost_usd == 0.25
    monkeypatch.setenv("MEMOZY_LEDGER", f"sqlite:///{scratch / 'elsewhere'}")
    assert execute(scratch, usd=0.125).metrics["cost_usd"] == 0.25
    assert (scratch / "elsewhere").exists()


def test_a_higher_budget_goes_on_with_the_same_attempt(scratch):
    with pytest.raises(InputError, match="llm.budget_usd', value 1.5: .* Raise it and run again"):
        execute(scratch, usd=1.0, llm={"model": "m", "budget_usd": 1.5})
    assert execute(scratch, usd=1.0, llm={"model": "m", "budget_usd": 4.0, "retries": 2}).metrics["cost_usd"] >= 2.0
    assert calls(scratch) == ["new", "resumed"]
    execute(scratch, usd=1.0, llm={"model": "m", "budget_usd": 5.0})
    assert calls(scratch) == ["new", "resumed"]  # kept: a limit changes no result


def test_bad_input_leaves_nothing(scratch):
    (scratch / "text").write_text("")
    with pytest.raises(InputError, match="text: holds no rows"):
        execute(scratch)
    assert not (scratch / "outputs").exists()
    (scratch / "text").unlink()
    with pytest.raises(InputError, match="text: no such input. scratch_stage needs 'text'"):
        execute(scratch)


def test_a_stage_that_forgets_an_output_has_failed(scratch):
    with pytest.raises(RuntimeError, match="without writing parts"):
        execute(scratch, forget=True)
    assert not (scratch / "outputs").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"tims": 2}, "scratch_stage, field 'tims', value 2: unknown key. Did you mean 'times'?"),
        ({"inner": {"word": "x"}}, "scratch_stage, field 'inner.word', value 'x': unknown key. Did you mean 'words'?"),
        ({"zzz": 2}, "unknown key. Known keys: times, wait_for, forget, inner, llm, usd"),
        ({"times": "many"}, "scratch_stage, field 'times', value 'many': Input should be a valid integer"),
    ],
)
def test_settings_are_checked_before_anything_runs(scratch, config, said):
    with pytest.raises(InputError) as caught:
        execute(scratch, **config)
    assert said in str(caught.value)
    assert not (scratch / "calls").exists()


def test_digest_depends_on_names_and_bytes_alone(tmp_path):
    def folder(name, files):
        for path, text in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return stages.digest(tmp_path / name)

    same = folder("a", {"x": "1", "sub/y": "2"})
    assert folder("b", {"sub/y": "2", "x": "1"}) == same
    others = [{"x": "1", "sub/y": "3"}, {"x": "1", "sub/z": "2"}, {"x": "12", "sub/y": ""}, {"x": "1", "y": "2"}]
    assert len({same, *(folder(f"other{i}", files) for i, files in enumerate(others))}) == 5


def test_a_stage_runs_from_a_shell(scratch, capsys):
    out = [f"--{name}={scratch / 'outputs' / name}" for name in ("upper", "parts")]
    stages.main("scratch_stage", [f"--text={scratch / 'text'}", *out])
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"lines": 2}
    with pytest.raises(SystemExit) as ended:
        stages.main("scratch_stage", [f"--text={scratch / 'nowhere'}", *out])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")

"""Run a pipeline on this machine by kfp.local: each stage in a process of its own, nothing to install.

A run has a name and a folder, `runs/<name>/`: config.yaml, log.txt, its pages (PAGES), decision.json, allocation.json, ledger.sqlite
(every call to a chat model, and what it cost) and `stages/<stage>/out/` with every artifact. Started again under its
name it continues: `memozy.stages` keeps what is finished. KFP's own output goes to log.txt; the terminal shows what
the stages say.
"""

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO

from memozy import tracking
from memozy.records import InputError
from memozy.reports import without_secrets
from memozy.stages import MARKS
from pipelines import catalog
from pipelines.config import RunConfig, check_files

RUNS = Path("runs")
QUIET = {  # no library reports our use of it to anyone
    "MLFLOW_DISABLE_TELEMETRY": "true", "GX_ANALYTICS_ENABLED": "false", "DVC_NO_ANALYTICS": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
}  # fmt: skip
PAGES = {  # what people read, by its name in the run's folder: the stage and the artifact it comes from
    "report.html": ("write_report", "report"),
    "adoption.html": ("evaluate_prompts", "decision_report"),
    "proposals.html": ("propose_prompts", "proposals_report"),
    "personal_prompts.html": ("personalize_prompts", "personal_report"),
    "reward_model.html": ("train_reward", "reward_report"),
    "policy.html": ("train_ppo", "ppo_report"),
    "data.html": ("validate_data", "validation"),
    "surrogates.html": ("auto_rate", "auto_report"),
    "oversample.html": ("oversample", "oversample_report"),
}
_INPUT_ERROR = f"{InputError.__module__}.{InputError.__qualname__}: "


class StageFailed(RuntimeError):
    """A stage ended by a defect, not by bad input. The text is the end of its traceback."""


def run(pipeline: str, config: RunConfig, name: str) -> None:
    """Run `pipeline`, or continue it, and close with the decision.

    Raises InputError for bad input, whichever stage finds it; StageFailed for a defect in a stage;
    KeyboardInterrupt when interrupted or terminated. Finished stages are kept in each case.
    """
    if not re.fullmatch(r"\w[\w.-]{0,79}", name):
        raise InputError("is not a run name", file="--name", value=name, remedy="Use letters, digits, '.', '_', '-'")
    task = catalog.load(pipeline)
    arguments = {name: section for name, section in config.arguments().items() if name in catalog.sections(task)}
    check_files(config, arguments)
    folder = (RUNS / name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlflow.db")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be terminated is to be interrupted
    with _alone(folder):
        began = time.monotonic()
        run_id = os.environ["MLFLOW_RUN_ID"] = _start_tracking(pipeline, config, name, folder)
        (folder / "config.yaml").write_text(config.text(), encoding="utf-8")
        print(f"Run '{name}' of {pipeline} in {_short(folder)}; details in {_short(folder / 'log.txt')}", flush=True)
        status = "FAILED"
        try:
            with open(folder / "log.txt", "a", encoding="utf-8") as log:
                console = Console(sys.stdout, log, folder)
                _run_pipeline(task, arguments, folder, console)
            _close(folder, console, time.monotonic() - began)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            tracking.end_run(run_id, status)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("is running already", file=_short(folder), remedy="Wait, or give another --name") from None
        yield


def _start_tracking(pipeline: str, config: RunConfig, name: str, folder: Path) -> str:
    """The pipeline run's id in the tracking store; started again with the same settings, it is the same run."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    version = hashlib.sha256(config.text().encode()).hexdigest()[:16]
    tags = {"memozy.pipeline": pipeline, "memozy.folder": str(folder), "memozy.config": version}
    try:
        tracking.prepare(uri)
        return tracking.start_run(name, config.model_dump(mode="json"), tags)
    except Exception as error:  # any of the stores' and networks' own errors
        raise InputError(f"the tracking store can't be used ({type(error).__name__}; details in log.txt)",
                         field="MLFLOW_TRACKING_URI", value=without_secrets(uri), remedy="Unset it for a local store") from error  # fmt: skip


def _run_pipeline(task, arguments: dict[str, dict], folder: Path, console: "Console") -> None:
    from kfp import local

    warnings.filterwarnings("ignore", category=RuntimeWarning, module="kfp.local")  # «a custom image»: it is ours
    scratch = folder / "kfp"  # KFP's view of the artifacts: links into stages/
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "tmp").mkdir(parents=True)
    here = str(Path(__file__).resolve().parent.parent)
    os.environ |= {
        "MEMOZY_RUN_DIR": str(folder),
        "TMPDIR": str(scratch / "tmp"),  # KFP leaves a folder there for every task
        "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),  # these very stages,
        "PYTHONSAFEPATH": "1",  # whatever lies where memozy was called
        "PYTHONUNBUFFERED": "1",
        **QUIET,
    }
    console.stages = catalog.tasks(task.pipeline_spec)
    try:
        with redirect_stdout(console):
            local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(scratch))
            task(**arguments)
    except RuntimeError as error:  # what KFP raises when a task fails
        console.end_line()
        if console.problem:
            raise InputError(console.problem) from None
        raise StageFailed("\n".join(console.traceback[-15:]) or str(error)) from None
    _check_outputs(console, scratch)


def _check_outputs(console: "Console", scratch: Path) -> None:
    """A task that says it succeeded has written every output it declares."""
    for task, spec in console.stages.items():
        for name in spec.get("outputDefinitions", {}).get("artifacts", {}):
            if task.replace("-", "_") in console.finished and not any(scratch.glob(f"*/{task}/{name}")):
                raise StageFailed(f"{task} succeeded without writing '{name}'")


def _close(folder: Path, console: "Console", seconds: float) -> None:
    """What the run came to, in a few lines; pages and decision go to the top of its folder."""
    own = sum(record["seconds"] for record in console.finished.values())
    if "check_feedback" in console.finished and len(console.finished) == 1:
        new = console.finished["check_feedback"]["result"]["metrics"]["n_new"]
        print(f"Not enough new feedback yet ({new:g} new ratings and reactions): nothing was trained.")
    print(
        f"Finished in {seconds:.1f} s. The stages' own work: {own:.1f} s, of which {console.kept:.1f} s in earlier attempts."
    )

    def output(stage: str, name: str) -> Path:
        return folder / "stages" / stage / "out" / name

    pages = {page: output(*source) for page, source in PAGES.items() if source[0] in console.finished}
    for page, source in pages.items():
        shutil.copyfile(source, folder / page)
    if "write_report" not in console.finished:
        print(f"Outputs: {_short(folder / 'stages')}/<stage>/out")
        for page in pages:
            print(f"Page: {_short(folder / page)}")
        return
    from components.write_report.summary import summary

    shutil.copyfile(output("evaluate_prompts", "decision"), folder / "decision.json")
    shutil.copyfile(output("personalize_prompts", "allocation"), folder / "allocation.json")
    tracking.log_report(folder / "report.html")
    parts = (("evaluate_prompts", "decision"), ("reveal_truth", "truth"), ("validate_data", "version"),
             ("register_models", "registered"))  # fmt: skip
    facts = [json.loads(output(*part).read_text(encoding="utf-8")) for part in parts]
    print("\n" + summary(*facts, _short(folder / "report.html")))
    print(f"Beside it: {', '.join(page for page in pages if page != 'report.html')}; allocation.json for the app.")
    _hand_out(folder, facts[0], output("evaluate_prompts", "decision").parent)


def _hand_out(folder: Path, decision: dict, outputs: Path) -> None:
    """Put what an evaluation goes on from, and the sheets to rate, where no stage reaches; and say how to go on.

    Raises InputError where another evaluation's round lies there.
    """
    sheets = sorted((outputs / "to_rate").glob("*.csv"))
    if not sheets and (decision["scorer"] != "feedback" or decision["decision"] != "undecided"):
        return
    place = folder / f"round-{len(decision['looks']) + 1}"
    earlier, to_rate = place / "previous", place / "to_rate"
    if earlier.exists() and (earlier / "pulls").read_bytes() != (outputs / "pulls").read_bytes():
        raise InputError("holds another evaluation's round", file=_short(place), remedy="Move it away, or give another --name")
    for name in ("pulls", "decision"):
        earlier.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(outputs / name, earlier / name)
    again = f"--set evaluation.previous={_short(earlier)}"
    if not sheets:
        print(f"When the log has grown, go on with the same command and\n  {again}")
        return
    to_rate.mkdir(exist_ok=True)
    for sheet in sheets:
        if not (to_rate / sheet.name).exists():  # someone may have begun to fill it in
            shutil.copyfile(sheet, to_rate / sheet.name)
    first = _short(to_rate / sheets[0].stem)
    print(f"To rate, a sheet for each rater: {', '.join(_short(to_rate / s.name) for s in sheets)}.\n"
          f"In the browser: memozy rate {first}.csv --rater {sheets[0].stem} --out {first}.jsonl\n"
          f"Filled in, go on with the same command and\n  --set evaluation.ratings={_short(to_rate)} {again}")  # fmt: skip


class Console(io.TextIOBase):
    """Stands in for stdout while KFP runs: everything goes to the log, the stages' own lines to the terminal.

    finished: record of every stage that has ended, as `memozy.stages` keeps it. problem: the InputError
    that ended a stage, if one did; traceback: the last one seen.
    """

    def __init__(self, terminal: TextIO, log: TextIO, folder: Path) -> None:
        self.terminal, self.log, self.folder = terminal, log, folder
        self.stages: dict[str, dict] = {}
        self.finished: dict[str, dict] = {}
        self.kept = 0.0  # seconds that stages kept from earlier attempts had taken
        self.problem: str | None = None
        self.traceback: list[str] = []
        self._line, self._in_traceback, self._unfinished = "", False, False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self.log.write(line + "\n")
            self._heed(line.strip())  # KFP indents what a task says
        self.log.flush()
        return len(text)

    def _heed(self, line: str) -> None:
        if line.startswith("Traceback (most recent call last)"):
            self.problem, self.traceback, self._in_traceback = None, [], True
        elif not line.strip():
            self._in_traceback = False
        if self._in_traceback:
            self.traceback.append(line)
            if line.startswith(_INPUT_ERROR):
                self.problem = line.removeprefix(_INPUT_ERROR)
        elif line[:1] in tuple(MARKS) and line[1:2] == " ":
            if line[0] == "✓":
                self._finish(line[2:].partition(":")[0], kept="kept" in line)
                line += f"  [{len(self.finished)}/{len(self.stages)}]"
            self._show(line)

    def _show(self, line: str) -> None:
        """On a terminal a line of progress takes the place of the one before it."""
        if not self.terminal.isatty():
            print(line, file=self.terminal, flush=True)
            return
        end = "" if line[0] == "…" else "\n"
        print("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1], end=end, file=self.terminal, flush=True)
        self._unfinished = not end

    def end_line(self) -> None:
        if self._unfinished:
            print(file=self.terminal, flush=True)
            self._unfinished = False

    def _finish(self, stage: str, kept: bool) -> None:
        """Log a finished stage to the tracking store, once per pipeline run."""
        cell = self.folder / "stages" / stage
        record = json.loads((cell / "done.json").read_text(encoding="utf-8"))
        self.finished[stage] = record
        self.kept += record["seconds"] if kept else 0
        tracked = cell / f"tracked-{os.environ['MLFLOW_RUN_ID']}"
        if not tracked.exists():
            tracking.log_stage(record, cell / "out")
            tracked.touch()


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)

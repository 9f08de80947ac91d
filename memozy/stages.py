"""How a stage runs, anywhere: config checked first, inputs digested, outputs written whole or not at all.

A stage is a function `run(config, *, <artifact>: In|Out|Work, …) -> Result` in `components/<stage>/stage.py`.
`execute` calls it the same way from a KFP component, from a shell and from a test. Where a run
directory is given (MEMOZY_RUN_DIR: local runs), a stage whose code, config and inputs are the ones of
a finished attempt is not run again, and one that was killed finds its `Work` folder as it left it.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import inspect
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from memozy.ledger import open_ledger
from memozy.records import InputError

In = Annotated[Path, "in"]  # an artifact to read: a file or a folder
OptionalIn = Annotated[Path | None, "in", "optional"]  # one that need not be there; then it is None
Out = Annotated[Path, "out"]  # an artifact to write: the stage decides whether file or folder
Work = Annotated[Path, "work"]  # a folder that outlives a killed attempt, for checkpoints
InputFile = Annotated[str, "file"]  # a config value that names a file or folder: its content counts as an input
FileOrName = Annotated[str, "file", "name"]  # the same, or a name that a hub or an endpoint knows
_T = TypeVar("_T")
Limit = Annotated[_T, "limit"]  # a config value that may stop a stage and never changes its result
MARKS = "▶…✓"  # what a stage's own lines begin with: it starts, is under way, has finished


@dataclass(frozen=True)
class Result:
    """What a stage reports: final numbers by name, and curves as one dict of numbers per step."""

    metrics: dict[str, float] = field(default_factory=dict)
    curves: list[dict[str, float]] = field(default_factory=list)


def artifacts(stage: str, kind: str) -> tuple[str, ...]:
    """The names of a stage's artifacts of one kind: "in" (of which some are "optional"), "out" or "work"."""
    hints = get_type_hints(stage_function(stage), include_extras=True)
    return tuple(n for n, h in hints.items() if kind in getattr(h, "__metadata__", ()))


def config_class(stage: str) -> type:
    return importlib.import_module(f"components.{stage}.config").Config


def stage_function(stage: str):
    """The stage's `run`."""
    return importlib.import_module(f"components.{stage}.stage").run


def execute(
    stage: str, config: Mapping[str, Any], inputs: Mapping[str, str | None], outputs: Mapping[str, str]
) -> Result:
    """Run `stage` on `inputs`, leaving `outputs` complete; or raise and leave none of them.

    An optional input may be None.

    Raises InputError for what a person can mend; anything else is a defect and keeps its traceback.
    """
    from memozy import tracking

    started = time.monotonic()
    checked = validated(stage, config)
    paths = {name: Path(path) for name, path in inputs.items() if path is not None}
    for name, path in paths.items():
        if not path.exists():
            raise InputError("no such input", file=path, remedy=f"{stage} needs '{name}'")
    on_disk = {f"config.{name}": Path(value) for name, value in config_files(checked).items() if os.path.exists(value)}
    digests = {name: digest(path) for name, path in (paths | on_disk).items()}
    named = checked.model_dump_json(exclude=limits(checked))
    if not first_rank():
        return _follow(stage, checked, paths, named, digests)
    with _cell(stage, named, digests) as cell:
        done = cell / "done.json"
        if done.is_file():
            result = Result(**json.loads(done.read_text(encoding="utf-8"))["result"])
            _point_to(cell, stage)
            print(f"✓ {stage}: kept from an earlier attempt", flush=True)
        else:
            print(f"▶ {stage}", flush=True)
            result = _attempt(stage, checked, paths, cell)
            seconds = round(time.monotonic() - started, 3)
            record = {"stage": stage, "config": checked.model_dump(mode="json"), "inputs": digests,
                      "seconds": seconds, "finished": time.time(), "result": vars(result)}  # fmt: skip
            if "MEMOZY_RUN_DIR" not in os.environ:  # there the runner logs every stage: mlflow costs 2 s a process
                tracking.log_stage(record, cell / "out")
            _write_whole(done, json.dumps(record, ensure_ascii=False))
            _point_to(cell, stage)
            cost = result.metrics.get("cost_usd", 0.0)
            print(f"✓ {stage}: {seconds:.1f} s" + (f", ${cost:.4f}" if cost else ""), flush=True)
        for name, path in outputs.items():
            _link(cell / "out" / name, Path(path))
    return result


def config_files(config, *, required: bool = False, prefix: str = "") -> dict[str, str]:
    """What the InputFile and FileOrName fields name, by their dotted keys; sub-configs and tuples of them included.

    required: only what must be there, which a FileOrName need not.
    """
    found: dict[str, str] = {}
    for name, info in type(config).model_fields.items():
        value, marks = getattr(config, name), _marks(info)
        if hasattr(type(value), "model_fields"):
            found |= config_files(value, required=required, prefix=f"{prefix}{name}.")
        elif isinstance(value, tuple):
            for i, each in enumerate(v for v in value if hasattr(type(v), "model_fields")):
                found |= config_files(each, required=required, prefix=f"{prefix}{name}.{i}.")
            if "file" in marks:
                found |= {f"{prefix}{name}.{i}": each for i, each in enumerate(value)}
        elif isinstance(value, str) and "file" in marks and not (required and "name" in marks):
            found[prefix + name] = value
    return found


def limits(config) -> dict:
    """The Limit fields, as pydantic's `exclude` takes them, sub-configs and tuples of them included.

    They change no result, so they are no part of what names an attempt, or a judge.
    """
    found: dict = {}
    for name, info in type(config).model_fields.items():
        value = getattr(config, name)
        parts = dict(enumerate(value)) if isinstance(value, tuple) else {}
        below = {i: limits(part) for i, part in parts.items() if hasattr(type(part), "model_fields")}
        below |= limits(value) if hasattr(type(value), "model_fields") else {}
        if below or "limit" in _marks(info):
            found[name] = below or True
    return found


def _marks(info) -> set:
    """What is noted at a field's type, or at one of its alternatives: `InputFile | None`."""
    kinds = (info, *get_args(info.annotation))
    return {mark for k in kinds for mark in (getattr(k, "metadata", None) or getattr(k, "__metadata__", ()))
            if isinstance(mark, str)}  # fmt: skip


def validated(stage: str, config: Mapping[str, Any]):
    """The stage's Config, or an InputError that names the key, the value and the nearest known key."""
    from pydantic import ValidationError

    try:
        return config_class(stage).model_validate(dict(config))
    except ValidationError as error:
        raise config_error(error, config_class(stage), stage) from None


def config_error(error, model: type, where: str) -> InputError:
    """A pydantic ValidationError as one line: the first problem, with the nearest known key as remedy."""
    import difflib

    first = error.errors()[0]
    path = [str(p) for p in first["loc"]]
    if first["type"] == "extra_forbidden":
        for part in path[:-1]:
            annotation = model.model_fields[part].annotation if part in model.model_fields else None
            model = annotation if hasattr(annotation, "model_fields") else model
        known = list(model.model_fields)
        near = difflib.get_close_matches(path[-1], known, n=1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"Known keys: {', '.join(known)}"
        return InputError("unknown key", file=where, field=".".join(path), value=first["input"], remedy=remedy)
    value = None if isinstance(first["input"], dict) else first["input"]
    return InputError(first["msg"].removeprefix("Value error, "), file=where, field=".".join(path) or None, value=value)


def _attempt(stage: str, config, inputs: dict[str, Path], cell: Path) -> Result:
    """Run into a scratch folder that takes its final name only when everything is there.

    The ledger is the one that MEMOZY_LEDGER names, or the run's, or else one of this stage's own. What the stage has
    spent in it so far, killed attempts included, is added to its metrics.
    """
    partial, work = cell / "out.partial", cell / "work"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    work.mkdir(exist_ok=True)
    outs = {name: partial / name for name in artifacts(stage, "out")}
    with _books(stage, config, work) as book:
        result = _call(stage, config, inputs, outs, work)
        cost = book.total(stage).spent_usd if book.exists else 0.0
    if cost:
        result = replace(result, metrics=result.metrics | {"cost_usd": cost})
    missing = [name for name, path in outs.items() if not path.exists()]
    if missing:
        raise RuntimeError(f"{stage} ended without writing {', '.join(missing)}")
    shutil.rmtree(cell / "out", ignore_errors=True)
    os.replace(partial, cell / "out")
    shutil.rmtree(work)
    return result


def first_rank() -> bool:
    """Whether this process writes: of those that torchrun or accelerate started for one stage, the first does."""
    return os.environ.get("RANK", "0") == "0"


def _follow(stage: str, config, inputs: dict[str, Path], named: str, digests: Mapping[str, str]) -> Result:
    """Compute with the first process, from its checkpoints, and leave nothing."""
    with tempfile.TemporaryDirectory(prefix=f"memozy-{stage}-") as scratch:
        root, work = os.environ.get("MEMOZY_RUN_DIR"), Path(scratch)
        if root is not None:
            cell = Path(root) / "stages" / _cell_name(stage, named, digests)
            if (cell / "done.json").is_file():
                return Result()
            work = cell / "work"
            work.mkdir(parents=True, exist_ok=True)
        with _books(stage, config, work):
            return _call(stage, config, inputs, {name: Path(scratch) / name for name in artifacts(stage, "out")}, work)


def _call(stage: str, config, inputs: dict[str, Path], outs: dict[str, Path], work: Path) -> Result:
    """The stage's `run`; an optional input that is not there is None."""
    absent = dict.fromkeys(set(artifacts(stage, "optional")) - set(inputs))
    return stage_function(stage)(
        config, **inputs, **absent, **outs, **dict.fromkeys(artifacts(stage, "work"), work)
    )


def _books(stage: str, config, work: Path):
    """The ledger that MEMOZY_LEDGER names, or the run's, or else one of this attempt's own."""
    place = Path(os.environ.get("MEMOZY_RUN_DIR", work)) / "ledger.sqlite"
    url = os.environ.get("MEMOZY_LEDGER", f"sqlite:///{place.absolute()}")
    return open_ledger(url, stage, getattr(getattr(config, "llm", None), "budget_usd", None))


@contextmanager
def _cell(stage: str, config: str, digests: Mapping[str, str]) -> Iterator[Path]:
    """The folder of one attempt, named by what decides its result: code, config and input digests.

    In a run directory it stays, `stages/<stage>` points to the last finished one, and one process at a time has it: a stage
    that outlived its killed run is waited for, and then kept. Elsewhere it is scratch, but where a stage refuses its input,
    what it left in its work folder stays: the error may name it.
    """
    root = os.environ.get("MEMOZY_RUN_DIR")
    if root is None:
        scratch = Path(tempfile.mkdtemp(prefix=f"memozy-{stage}-"))
        told = False
        try:
            yield scratch
        except InputError:
            told = any(scratch.glob("work/*"))
            raise
        finally:
            shutil.rmtree(scratch / "out.partial" if told else scratch, ignore_errors=True)
        return
    cell = Path(root) / "stages" / _cell_name(stage, config, digests)
    cell.mkdir(parents=True, exist_ok=True)
    with open(cell / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"… {stage}: waiting for the process that is still running it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield cell


def _cell_name(stage: str, config: str, digests: Mapping[str, str]) -> str:
    key = hashlib.sha256(json.dumps([code_version(stage), config, dict(sorted(digests.items()))]).encode()).hexdigest()
    return f"{stage}-{key[:12]}"


def _point_to(cell: Path, stage: str) -> None:
    """Make `stages/<stage>` name the cell that finished last: before that, it may be what the stage reads."""
    if "MEMOZY_RUN_DIR" in os.environ:
        latest = cell.with_name(f"{stage}.{os.getpid()}")
        latest.symlink_to(cell.name)
        os.replace(latest, cell.with_name(stage))


def code_version(stage: str) -> str:
    """SHA-256 over the sources that can change the stage's result: its folder, memozy and the micro-world."""
    root = Path(__file__).resolve().parent.parent
    folders = (root / f"components/{stage}", root / "memozy", root / "microworld")
    sources = sorted(p for folder in folders for p in folder.rglob("*") if p.suffix in (".py", ".j2"))
    return _hash((str(p.relative_to(root)), p) for p in sources)


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names; the same bytes give the same digest anywhere."""
    if path.is_file():
        return _hash([("", path)])
    return _hash((str(p.relative_to(path)), p) for p in sorted(path.rglob("*")) if p.is_file())


def _hash(files) -> str:
    total = hashlib.sha256()
    for name, path in files:
        with open(path, "rb") as file:
            total.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _write_whole(path: Path, text: str) -> None:
    """Write so that a reader sees the old file or the new one, never half of either."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)


def _link(source: Path, target: Path) -> None:
    """Put an artifact where the caller wants it, by hard links where the file system has them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_file)
    else:
        _link_file(source, target)


def _link_file(source, target) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


class Progress:
    """Progress of a long stage, one line at most every two seconds: rate, ETA and the numbers that matter."""

    def __init__(self, stage: str, total: int, unit: str, start: int = 0) -> None:
        self.stage, self.total, self.unit, self.start = stage, total, unit, start
        self.done, self.began, self.shown = start, time.monotonic(), 0.0

    def advance(self, n: int = 1, **numbers: float) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.shown < 2 and self.done < self.total:
            return
        self.shown = now
        rate = (self.done - self.start) / max(now - self.began, 1e-9)
        extra = "".join(f"  {k} {v:.3g}" for k, v in numbers.items())
        eta = (self.total - self.done) / rate if rate > 0 else 0
        print(f"… {self.stage}: {self.done}/{self.total} {self.unit}{extra}  {rate:.1f}/s  ETA {eta:.0f} s", flush=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one. Raises InputError with the row."""
    from yaml import YAMLError

    if not path.is_file():
        raise InputError("no such file", file=path, remedy="Give a YAML file such as configs/demo.yaml")
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not text"
        raise InputError(f"is not YAML ({problem})", file=path, row=mark.line + 1 if mark else None) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError("is not a mapping", file=path, value=values, remedy="Write `section:` and its keys below")
    return values


def parse_yaml(text: str) -> Any:
    """Plain YAML that refuses a key written twice, of which YAML would silently take the last."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            seen = []
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if key in seen:
                    raise yaml.MarkedYAMLError(problem=f"'{key}' stands twice", problem_mark=key_node.start_mark)
                seen.append(key)
            return super().construct_mapping(node, deep)

    return yaml.load(text, Loader)


def main(stage: str, arguments: list[str] | None = None) -> None:
    """`python -m components.<stage> --config FILE --<artifact> PATH …`: the same stage from a shell.

    Where no ledger is named and there is no run, calls are kept in `ledger.sqlite` beside the first output.
    """
    import argparse

    doc = inspect.getdoc(stage_function(stage))
    parser = argparse.ArgumentParser(prog=f"python -m components.{stage}", description=doc,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--config", type=Path, help="YAML with the stage's own keys; defaults where left out")
    for kind, word in (("in", "to read"), ("out", "to write")):
        for name in artifacts(stage, kind):
            needed = name not in artifacts(stage, "optional")
            parser.add_argument(f"--{name}", required=needed, metavar="PATH", help=f"artifact {word}" + ", optional" * (not needed))
    args = vars(parser.parse_args(arguments))
    try:
        file = args.pop("config")
        config = read_yaml(file) if file else {}
        ins = {n: args[n] for n in artifacts(stage, "in")}
        outs = {n: args[n] for n in artifacts(stage, "out")}
        for name, path in outs.items():
            if Path(path).is_dir() and any(Path(path).iterdir()):
                raise InputError("is a folder that holds something", file=path, field=f"--{name}",
                                 remedy="Name a new file or folder: it would be replaced")  # fmt: skip
        if "MEMOZY_RUN_DIR" not in os.environ and outs:  # so that a killed call is not paid for again
            beside = Path(next(iter(outs.values()))).absolute().parent / "ledger.sqlite"
            os.environ.setdefault("MEMOZY_LEDGER", f"sqlite:///{beside}")
        result = execute(stage, config, ins, outs)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(result.metrics, ensure_ascii=False))

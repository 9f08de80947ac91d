"""What a run's folder tells: which stage read what another wrote, by the digests that every stage kept in done.json."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from memozy import versions
from memozy.lineage import Origin, Step
from memozy.records import InputError
from memozy.stages import digest
from memozy.tracking import flat


@dataclass(frozen=True)
class Chain:
    """The attempts that lead to a result, and what they read of each other.

    cells: each one's folder; links: (stage, artifact, the stage that wrote it) where the digests agree;
    broken: (stage, artifact) where no attempt in the folder wrote what was read, or it was changed since.
    """

    cells: tuple[Path, ...]
    links: tuple[tuple[str, str, str], ...]
    broken: tuple[tuple[str, str], ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        records = [_record(cell) for cell in self.cells]
        return tuple(Step(r["stage"], r["inputs"], flat(r["config"])) for r in records)

    def output(self, stage: str, name: str) -> Path | None:
        return next((cell / "out" / name for cell in self.cells if _record(cell)["stage"] == stage), None)


def find(folder: Path) -> Origin:
    """The origin of what the last finished attempts in a run's folder made. Raises InputError where none has validated data."""
    file = folder / "stages/validate_data/out/version"
    if not file.is_file():
        raise InputError("is no run that has validated its data", file=folder, remedy="Give a model, a run's name or its folder")
    made = chain(folder, _latest(folder))
    pushed = _record(file.parent.parent)["config"].get("remote", "")
    return Origin(folder.name, _json(file)["version"], folder.name, folder, pushed, made.steps)


def behind(origin: Origin) -> Chain | None:
    """What led to a registered model or prompt, or to a whole run, by its folder; None where that is not on this machine.

    Of a model that a reviewer promoted under another name it is what the run registered last.
    """
    if origin.folder is None or not (origin.folder / "stages").is_dir():
        return None
    starts = _latest(origin.folder)
    if origin.tags:
        name, _, number = origin.name.rpartition("/")
        starts = _cells(origin.folder, "register_models")
        own = [cell for cell in starts if _json(cell / "out/registered").get(name) == number]
        starts = (own or starts)[-1:]
    found = chain(origin.folder, starts)
    pinned = found.output("validate_data", "version")
    return found if pinned is not None and _json(pinned)["version"] == origin.version else None


def chain(folder: Path, starts: Sequence[Path]) -> Chain:
    """Follow inputs back from the attempts `starts` to the outputs with the same digest; every output in the folder is read once."""
    cells, links, broken = list(starts), [], []
    written: dict[str, list[tuple[Path, str]]] = {}
    for cell in _cells(folder):
        for artifact in sorted((cell / "out").iterdir()):
            written.setdefault(digest(artifact), []).append((cell, artifact.name))
    for cell in cells:  # it grows meanwhile
        record = _record(cell)
        for name, read in record["inputs"].items():
            if name.startswith("config."):  # a file that people gave
                continue
            same = sorted(written.get(read, ()), key=lambda place: place[1] == name)  # two may be alike, empty ones for instance
            if same:
                source = same[-1][0]
                links.append((record["stage"], name, _record(source)["stage"]))
                cells += [source] * (source not in cells)
            else:
                broken.append((record["stage"], name))
    return Chain(tuple(cells), tuple(links), tuple(broken))


@contextmanager
def data(origin: Origin, remotes: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """The folder of an origin's data set, its content checked against the version, and where it was found.

    Looked for in the run's folder, then in its remote and in `remotes`. Raises InputError where it is in none of them.
    """
    tried = []
    for cell in _cells(origin.folder, "validate_data") if origin.folder else []:
        if _json(cell / "out/version")["version"] == origin.version:
            if versions.address(cell / "out/validated") == origin.version:
                yield cell / "out/validated", str(origin.folder)
                return
            tried.append(f"{cell / 'out/validated'} was changed since")
    with tempfile.TemporaryDirectory(prefix="memozy-data-") as scratch:
        for remote in dict.fromkeys(filter(None, (origin.remote, *remotes))):
            try:
                versions.pull(origin.version, remote, Path(scratch) / "data")
            except InputError as error:
                tried.append(str(error))
                continue
            yield Path(scratch) / "data", remote
            return
    reason = f" ({'; '.join(tried)})" if tried else ""
    raise InputError(f"the rows of data version {origin.version} are neither in the run's folder nor in a remote{reason}",
                     file=origin.name, remedy="Name the remote that holds it: --remote")  # fmt: skip


def _cells(folder: Path, stage: str = "") -> list[Path]:
    """The finished attempts of a stage, or of all, the last one last."""
    found = [p.parent for p in (folder / "stages").glob(f"{stage or '*'}-*/done.json") if not p.parent.is_symlink()]
    kept = [cell for cell in found if not stage or _record(cell)["stage"] == stage]
    return sorted(kept, key=lambda cell: _record(cell)["finished"])


def _latest(folder: Path) -> list[Path]:
    """The attempt of every stage that finished last."""
    return [cell.resolve() for cell in sorted((folder / "stages").iterdir()) if cell.is_symlink()]


def _record(cell: Path) -> dict:
    return _json(cell / "done.json")


def _json(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError("is not there, or no JSON", file=file, remedy="The run is damaged: give another, or run it anew") from None

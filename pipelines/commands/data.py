"""`memozy data`: publish and pull versions, tell them apart, trace a model to its rows and a row to its models."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from memozy.records import InputError
from pipelines.terminal import EXITS, plain_errors

app = typer.Typer(help="Versions of the data: publish, compare, trace.", epilog=EXITS, no_args_is_help=True, rich_markup_mode=None)

Remote = Annotated[
    str | None,
    typer.Option(help="A folder or s3://bucket/path. Default: MEMOZY_DATA_REMOTE, else the default remote of the DVC repository here.",
                 show_default=False),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.callback()
def group() -> None:
    """Versions of the data: publish, compare, trace."""


@app.command(epilog=EXITS)
def publish(
    folder: Annotated[Path, typer.Argument(help="What to publish: a folder.", show_default=False)],
    remote: Remote = None,
    name: Annotated[
        str | None, typer.Option(help="The pointer is <name>.dvc. Default: the folder's name.", show_default=False)
    ] = None,
) -> None:
    """Push a folder's content and write the pointer that git keeps. Done again, it changes nothing."""
    with plain_errors():
        from memozy import versions
        from memozy.reports import without_secrets
        from memozy.versions import pointers

        if not folder.is_dir():
            raise InputError("is not a folder", file=folder, remedy="Give the folder that holds the data")
        name = name or folder.resolve().name
        if not re.fullmatch(r"\w[\w.-]{0,79}", name):
            raise InputError("is not a name", file="--name", value=name, remedy="Use letters, digits, '.', '_', '-'")
        place, pointer = _remote(remote), Path(f"{name}.dvc")
        pointers.check(pointer)  # before anything is pushed
        version = versions.publish(folder, place)
        pointers.write(pointer, version, folder)
        print(f"{version} is in {without_secrets(place)}; {name}.dvc points to it.")


@app.command(epilog=EXITS)
def pull(
    what: Annotated[str, typer.Argument(metavar="VERSION", help="A version, or a pointer file.", show_default=False)],
    to: Annotated[Path, typer.Option(help="The folder to make.", show_default=False)],
    remote: Remote = None,
) -> None:
    """Fetch a published version into a new folder. Every byte is checked against the version."""
    with plain_errors():
        from memozy import versions

        version = _version(what)
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            if to.is_dir() and versions.address(to) == version:
                print(f"{to} holds {version} already.")
                return
            raise InputError("holds something else", file=to, field="--to", remedy="Name a new folder: it would be replaced")
        versions.pull(version, _remote(remote), to)
        print(f"{to} holds {version}.")


@app.command(epilog=EXITS)
def diff(
    before: Annotated[
        str, typer.Argument(help="A run's name or folder, a data set's folder, a version, or a pointer file.", show_default=False)
    ],
    after: Annotated[str, typer.Argument(help="The same.", show_default=False)],
    remote: Remote = None,
    as_json: Json = False,
) -> None:
    """What changed from one validated data set to another, in rows, classes and raters."""
    with plain_errors():
        import json

        from memozy import versions
        from memozy.versions import changes

        with _data_set(before, remote) as old, _data_set(after, remote) as new:
            addresses = [versions.address(folder) for folder in (old, new)]
            found = changes.compare(changes.load(old), changes.load(new))
        if as_json:
            print(json.dumps({"before": addresses[0], "after": addresses[1], **found}, ensure_ascii=False))
            return
        print(f"{before} {addresses[0]}\n{after} {addresses[1]}\n")
        print("\n".join(changes.lines(found)))
        if addresses[0] == addresses[1]:
            print("\nThe same version.")


@app.command(epilog=EXITS)
def lineage(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", show_default=False,
                       help="A registered model or prompt, NAME/VERSION or NAME@ALIAS, or a run's name or folder."),
    ] = None,
    rater: Annotated[str | None, typer.Option(help="Instead: what was made of this rater's ratings?", show_default=False)] = None,
    diary: Annotated[str | None, typer.Option(help="Instead: what was made of this diary?", show_default=False)] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Write the very rows there: .csv for people, .parquet exactly.", show_default=False)
    ] = None,
    remote: Remote = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """From a model back to the exact rows and ratings; or from a rater or a diary to the models made of them."""
    with plain_errors():
        import json

        from memozy.lineage import trace
        from pipelines.runner import RUNS

        if sum(each is not None for each in (what, rater, diary)) != 1:
            raise InputError("asks for nothing, or for two things", file="memozy data lineage",
                             remedy="Give one of MODEL, --rater and --diary")  # fmt: skip
        trace.check_rows(rows)
        remotes = [_remote(remote, needed=False)]
        _store()
        if what is not None:
            origin = trace.origin(what, RUNS)
            told = trace.back(origin, remotes, rows)
        else:
            told = trace.forward(rater, diary, remotes, rows)
        print(json.dumps(told, ensure_ascii=False) if as_json else "\n".join(trace.lines(told)))


def _remote(option: str | None, needed: bool = True) -> str:
    from memozy.versions import pointers

    place = option or os.environ.get("MEMOZY_DATA_REMOTE") or pointers.default_remote(Path.cwd())
    if needed and not place:
        raise InputError("there is no remote", field="--remote",
                         remedy="Give a folder or s3://bucket/path, or set MEMOZY_DATA_REMOTE")  # fmt: skip
    return place


def _store() -> None:
    """Let MLflow find its store: the one of the environment, or the one that local runs write here, if there is one."""
    local = Path.cwd() / "mlflow.db"
    if "MLFLOW_TRACKING_URI" not in os.environ and local.is_file():
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{local}"


def _version(what: str) -> str:
    """The version that a text names: itself, or what a pointer file points to."""
    from memozy import versions
    from memozy.versions import pointers

    return pointers.read(Path(what)) if what.endswith(".dvc") else versions.check(what)


@contextmanager
def _data_set(what: str, remote: str | None) -> Iterator[Path]:
    """The folder of the data set that a text names; a version is fetched for as long as this is open."""
    from memozy import versions
    from pipelines.runner import RUNS

    for folder in (Path(what), RUNS / what):
        for place in (folder / "stages/validate_data/out/validated", folder):
            if (place / "ratings.parquet").is_file():
                yield place
                return
    if not what.endswith(".dvc") and not versions.VERSION.fullmatch(what):
        raise InputError("names no data set", value=what,
                         remedy="Give a run that validated its data, a folder with ratings.parquet, a version, or a pointer file")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="memozy-data-") as scratch:
        versions.pull(_version(what), _remote(remote), Path(scratch) / "data")
        yield Path(scratch) / "data"

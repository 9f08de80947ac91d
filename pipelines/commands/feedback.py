"""`memozy feedback`: the store that MEMOZY_FEEDBACK names."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.terminal import EXITS, plain_errors

app = typer.Typer(
    help="The app's feedback store: take events in, publish batches, see what is new.",
    epilog=EXITS,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def group() -> None:
    """The app's feedback store, at the URL in MEMOZY_FEEDBACK or in feedback.sqlite."""


@app.command(name="import", epilog=EXITS)
def import_(
    files: Annotated[list[Path], typer.Argument(help="Logs of events, JSONL or Parquet, or folders of batches.")],
) -> None:
    """Take events in, a file whole or not at all. What the store has already counts once."""
    with plain_errors():
        from memozy.feedback import open_store, read_log

        with open_store() as store:
            for file in files:
                added = store.add(read_log(file), file)
                print(f"{file}: {added.n_new} events are new, {added.n_repeated} were told before")
            waiting = store.status().n_waiting
        if waiting:
            print(f"{waiting} wait for their showing")


@app.command(epilog=EXITS)
def status() -> None:
    """How many events there are, and how far they are."""
    with plain_errors():
        from memozy.feedback import open_store

        with open_store() as store:
            found = store.status()
        print(", ".join(f"{n} {kind}" for kind, n in found.kinds.items()) or "no events")
        print(f"published: {found.n_published} in {found.n_batches} batches")
        print(
            f"new: {found.n_new}"
            + f", and {found.n_claimed} claimed by a publisher that has not finished" * bool(found.n_claimed)
        )
        print(f"waiting for their showing: {found.n_waiting}")


@app.command(epilog=EXITS)
def publish(
    to: Annotated[Path, typer.Option(help="Folder of batches; what it lacks is written.", show_default=False)],
    remote: Annotated[str, typer.Option(help="Also push the folder there as a version (DVC): a folder or s3://…")] = "",
) -> None:
    """Write what is new as batches, every event in exactly one."""
    with plain_errors():
        from memozy.feedback import publish as write_batches

        for batch in write_batches(to):
            print(batch)
        if remote:
            import shutil
            import tempfile

            from memozy import versions

            with tempfile.TemporaryDirectory(prefix="memozy-feedback-") as scratch:
                batches = shutil.copytree(to, Path(scratch) / "batches", ignore=shutil.ignore_patterns(".*"))
                print(f"version {versions.publish(Path(batches), remote)}")

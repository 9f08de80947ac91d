"""`memozy feedback`."""

import typer

from pipelines.terminal import EXITS

app = typer.Typer(help="The app's feedback store: take events in, publish batches, see what is new.", epilog=EXITS, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """The app's feedback store: take events in, publish batches, see what is new."""

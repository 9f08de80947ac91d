"""`memozy data`."""

import typer

from pipelines.terminal import EXITS

app = typer.Typer(help="Versions of the data: publish, compare, trace.", epilog=EXITS, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Versions of the data: publish, compare, trace."""

"""`memozy ratings`."""

import typer

from pipelines.terminal import EXITS

app = typer.Typer(help="Get ratings: sheets to fill in, a page to rate on.", epilog=EXITS, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Get ratings: sheets to fill in, a page to rate on."""

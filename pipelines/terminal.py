"""How a command ends: what it says to a terminal, and with which exit code."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from memozy.records import InputError

EXITS = "Exit codes: 0 done, 1 a defect, 2 bad input, 130 interrupted."


@contextmanager
def plain_errors(log: str | None = None) -> Iterator[None]:
    """Bad input as one line and exit code 2; a defect as the end of its traceback, the log's place and 1."""
    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except (typer.Exit, KeyboardInterrupt):
        raise
    except Exception as error:
        text = str(error) if type(error).__name__ == "StageFailed" else traceback.format_exc()
        print(f"{text}\ndefect" + (f"; the whole log is in {log}" if log else ""), file=sys.stderr)
        raise typer.Exit(1) from None

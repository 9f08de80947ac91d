"""Text in rows and columns: CSV and its kin."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import polars as pl

from memozy.tables.cells import Table, Unusable, from_objects, from_texts, headed

SEPARATORS = ",\t;|"
CHUNK = 20_000


def read(path: Path, encoding: str, columns: Collection[str] | None, start: str) -> Table:
    """`start`: the file's first characters, which tell its separator.

    polars reads what has no quotes and is well-formed. It takes a quote that nobody closed for the beginning of a cell of
    many rows, and says nothing; so the rest is for Python's strict and slower reader. Raises UnicodeDecodeError.
    """
    first = start.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")
    said = first[4:5] if first[:4].lower() == "sep=" and len(first) == 5 else ""  # Excel's own way to say it
    body = start.lstrip("\r\n")[len(first) :] if said else start
    separator, header = _header(body, said or SEPARATORS)
    names = headed(header, path)
    source = path if encoding.startswith("utf-8") else path.read_bytes().decode(encoding).encode()
    if "\r" not in first and not _quoted(source):  # a lone \r ended lines on old Macs; polars knows no such lines
        try:
            frame = pl.read_csv(source, separator=separator, quote_char=None, infer_schema=False, raise_if_empty=False,
                                skip_lines=bool(said))  # fmt: skip
            if frame.width == len(names):
                return from_texts(frame, names, columns)
        except pl.exceptions.PolarsError:
            pass  # the other reader finds the row
    file = open(source, "rb") if isinstance(source, Path) else io.BytesIO(source)
    with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        return from_objects(_rows(text, separator, bool(said), names), columns, names)


def _quoted(source: Path | bytes) -> bool:
    if isinstance(source, bytes):
        return b'"' in source
    with open(source, "rb") as file:
        return any(b'"' in piece for piece in iter(lambda: file.read(1 << 20), b""))


def _header(text: str, separators: str) -> tuple[str, list[str]]:
    """The separator that makes the most of the first row, and that row."""
    found = []
    for separator in separators:
        try:
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            found.append((separator, next((row for row in rows if any(row)), [])))
        except csv.Error:
            found.append((separator, []))
    return max(found, key=lambda pair: len(pair[1]))


def _rows(text: TextIO, separator: str, said: bool, names: list[str]) -> Iterator[list[dict | Unusable]]:
    """The rows below the header, in chunks; one with more cells than that is unusable, one with fewer lacks its last."""
    if said:
        text.readline()
    rows = (row for row in _records(text, separator) if isinstance(row, Unusable) or any(row))
    next(rows, None)  # the header
    while chunk := [row if isinstance(row, Unusable) else _row(names, row) for row in islice(rows, CHUNK)]:
        yield chunk


def _records(text: TextIO, separator: str) -> Iterator[list[str] | Unusable]:
    """The rows of cells. Where quotes are not those of CSV the line that the row begins with is unusable, and what
    follows is read as if it stood alone: an open quote takes no other rows with it."""
    begun, again = [], deque()  # the lines of the row that is being read; those that are to be read again

    def lines() -> Iterator[str]:
        while (line := again.popleft() if again else next(text, None)) is not None:
            begun.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=separator, strict=True)
    while True:
        begun.clear()
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Unusable(begun[0].rstrip("\r\n"), _problem(error))
            again.extendleft(reversed(begun[1:]))
            reader = csv.reader(lines(), delimiter=separator, strict=True)


def _problem(error: csv.Error) -> str:
    if "field limit" in str(error):
        return f"has a cell of more than {csv.field_size_limit():,} characters, or an open quote"
    return f"is not CSV ({error}): close every double quote, and write one in a cell twice"


def _row(names: list[str], row: list[str]) -> dict | Unusable:
    if len(row) > len(names):
        reason = f"has {len(row)} cells where the header has {len(names)}: put a cell with a separator in double quotes"
        return Unusable(", ".join(row), reason)
    return {name: cell or None for name, cell in zip(names, row, strict=False) if name}

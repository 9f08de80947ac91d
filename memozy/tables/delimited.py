"""Text in rows and columns: CSV and its kin."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TextIO

import polars as pl

from memozy.records import InputError
from memozy.tables.cells import Table, Unusable, from_objects, from_texts, headed

SEPARATORS = ",\t;|"
CHUNK = 20_000


def read(path: Path, encoding: str, columns: Collection[str] | None, start: str) -> Table:
    """`start`: the file's first characters, which tell its separator.

    polars reads what is well-formed; what it refuses, Python's slower reader goes through row by row. Raises InputError
    where a quote is not closed or a cell is beyond all bounds, and UnicodeDecodeError.
    """
    first = start.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")
    said = first[4:5] if first[:4].lower() == "sep=" and len(first) == 5 else ""  # Excel's own way to say it
    body = start.lstrip("\r\n")[len(first) :] if said else start
    separator, header = _header(body, said or SEPARATORS)
    names = headed(header, path)

    def careful(text: TextIO) -> Table:
        return from_objects(_rows(text, separator, bool(said), names, path), columns)

    source = path if encoding.startswith("utf-8") else io.BytesIO(path.read_bytes().decode(encoding).encode())
    if "\r" not in first:  # which alone ended lines on old Macs; polars knows no such lines
        try:
            frame = pl.read_csv(
                source, separator=separator, infer_schema=False, raise_if_empty=False, skip_lines=bool(said)
            )
            if frame.width == len(names):
                return from_texts(frame, names, columns)
        except pl.exceptions.PolarsError:
            pass  # the other reader finds the row
    if isinstance(source, io.BytesIO):
        source.seek(0)
        return careful(io.TextIOWrapper(source, "utf-8", newline=""))
    with open(source, encoding="utf-8-sig", newline="") as text:
        return careful(text)


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


def _rows(text: TextIO, separator: str, said: bool, names: list[str], path: Path) -> Iterator[list[dict | Unusable]]:
    """The rows below the header, in chunks; one with more cells than that is unusable, one with fewer lacks its last."""
    if said:
        text.readline()
    n, chunk = -1, []
    try:
        for row in csv.reader(text, delimiter=separator, strict=True):
            if not any(row):
                continue
            n += 1
            if n:  # the first is the header
                chunk.append(_row(names, row))
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
    except csv.Error as error:
        problem = f"is not CSV ({error})"
        if "field limit" in str(error):
            problem = f"has a cell of more than {csv.field_size_limit():,} characters, or an open quote"
        raise InputError(problem, file=path, row=n + 1,
                         remedy="Close every double quote, and write one in a cell twice") from None  # fmt: skip
    yield chunk


def _row(names: list[str], row: list[str]) -> dict | Unusable:
    if len(row) > len(names):
        reason = f"has {len(row)} cells where the header has {len(names)}: put a cell with a separator in double quotes"
        return Unusable(", ".join(row), reason)
    return {name: cell or None for name, cell in zip(names, row, strict=False) if name}

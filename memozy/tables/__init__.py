"""Tables that people hand in, whichever program wrote them: what a file is tells its content, not its name.

Text separated by commas, tabs, semicolons or bars, in UTF-8, UTF-16 or Korean Excel's CP949; JSON (a list of objects)
and JSON lines; XLSX, XLS and ODS; Parquet. In each of them a cell is text, a number is its text (a whole one without a
fraction: 7, never 7.0, wherever it has been), and nothing else is a cell.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl

from memozy.records import InputError
from memozy.tables import binary, delimited, objects
from memozy.tables.cells import Table, Unusable

__all__ = ["Expand", "Table", "Unusable", "is_json", "read", "read_rows"]

Expand = Callable[[list], list]  # what the objects of a JSON file stand for: as many flat rows as there are
KNOWN = "Known: CSV, TSV, JSON, JSON lines, XLSX, ODS, Parquet"
SYLLABLES = "\u0800"  # from here on UTF-8 takes three bytes, of which CP949 makes rare Chinese signs or nothing
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
         codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
_NO_TABLE = {b"\x1f\x8b": "is compressed (gzip)", b"%PDF": "is a PDF", b"BZh": "is compressed (bzip2)",
             b"\xfd7zXZ": "is compressed (xz)", b"(\xb5/\xfd": "is compressed (zstd)"}  # fmt: skip


def read(path: str | Path, columns: Collection[str] | None = None, expand: Expand | None = None) -> Table:
    """The table in a file, with those of `columns` that it has (all where None).

    A row's number is its place, from 1: headers and blank lines are not counted. What a single row or cell has wrong
    with it is in the table's `faults`, for the caller to judge; an empty file is an empty table. `expand` turns a JSON
    file's objects into rows. Raises InputError for a file that is missing or cannot be read as a whole.
    """
    table = _read(Path(path), columns, expand)
    return replace(table, rows=table.rows.with_columns(pl.when(pl.all() != "").then(pl.all())))


def read_rows(path: str | Path, columns: Collection[str] | None = None) -> list[dict[str, str | None]]:
    """The rows of a table in which nothing may be wrong: raises InputError for its first fault too."""
    table = read(path, columns)
    for row, field, value, reason in table.faults.head(1).iter_rows():
        raise InputError(reason, file=path, row=row, field=field, value=value, remedy="Mend the row")
    return table.rows.to_dicts()


def is_json(path: str | Path) -> bool:
    """Whether a file begins as JSON does."""
    with open(path, "rb") as file:
        return file.read(1 << 16).removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"[")


def _read(path: Path, columns: Collection[str] | None, expand: Expand | None) -> Table:
    if not path.is_file():
        raise InputError("no such file", file=path, remedy="Give the path of a table")
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    if not head:
        return Table.empty()
    for magic, problem in _NO_TABLE.items():
        if head.startswith(magic):
            raise InputError(problem, file=path, remedy=KNOWN)
    if head.startswith(b"PAR1"):
        return binary.read_parquet(path, columns)
    if head.startswith((b"PK\3\4", b"PK\5\6", b"\xd0\xcf\x11\xe0")):
        return binary.read_workbook(path, columns)
    return _text(path, head, columns, expand)


def _text(path: Path, head: bytes, columns: Collection[str] | None, expand: Expand | None) -> Table:
    marked = next((name for bom, name in _BOMS.items() if head.startswith(bom)), None)
    if marked is None and 10 * head.count(b"\0") > len(head):
        raise InputError("is neither text nor a known kind of table", file=path, remedy=KNOWN)
    try:
        return _decoded(path, head, marked or "utf-8", columns, expand)
    except UnicodeDecodeError:
        if marked is None and _may_be_korean(path):
            with suppress(UnicodeDecodeError):
                return _decoded(path, head, "cp949", columns, expand)
    problem = f"is not {marked.removesuffix('-sig').upper()}" if marked else "is not UTF-8, nor CP949 as Korean Excel saves it"
    raise InputError(problem, file=path, remedy="Save it as UTF-8")


def _decoded(path: Path, head: bytes, encoding: str, columns: Collection[str] | None, expand: Expand | None) -> Table:
    start = codecs.getincrementaldecoder(encoding)().decode(head).lstrip("\ufeff")
    if start.lstrip()[:1] in ("{", "["):
        return objects.read(path, encoding, columns, expand or list, listed=start.lstrip()[0] == "[")
    return delimited.read(path, encoding, columns, start)


def _may_be_korean(path: Path) -> bool:
    """Whether what is no UTF-8 may be CP949. Damaged UTF-8 can look so too, but has whole syllables before the damage."""
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.end < len(content) and max(content[: error.start].decode(), default="") < SYLLABLES
    return False

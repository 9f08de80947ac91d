"""Tables that people hand in, whichever program wrote them: what a file is tells its content, not its name.

Text separated by commas, tabs, semicolons or bars, in UTF-8, UTF-16 or Korean Excel's CP949; JSON (a list of objects)
and JSON lines; XLSX, XLS and ODS; Parquet. In each of them a cell is text, a number is its text (a whole one without a
fraction: 7, never 7.0, wherever it has been), and nothing else is a cell.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection
from pathlib import Path

from memozy.records import InputError
from memozy.tables import binary, delimited, objects
from memozy.tables.cells import Table, Unusable

__all__ = ["Expand", "Table", "Unusable", "read", "read_rows"]

Expand = Callable[[list], list]  # what the objects of a JSON file stand for: as many flat rows as there are
KNOWN = "Known: CSV, TSV, JSON, JSON lines, XLSX, ODS, Parquet"
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
    path = Path(path)
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


def read_rows(path: str | Path, columns: Collection[str] | None = None) -> list[dict[str, str | None]]:
    """The rows of a table in which nothing may be wrong: raises InputError for its first fault too."""
    table = read(path, columns)
    for row, field, value, reason in table.faults.head(1).iter_rows():
        raise InputError(reason, file=path, row=row, field=field, value=value, remedy="Mend the row")
    return table.rows.to_dicts()


def _text(path: Path, head: bytes, columns: Collection[str] | None, expand: Expand | None) -> Table:
    marked = next((name for bom, name in _BOMS.items() if head.startswith(bom)), None)
    if marked is None and b"\0" in head[:1024]:
        raise InputError("is neither text nor a known kind of table", file=path, remedy=KNOWN)
    first: UnicodeDecodeError | None = None
    for encoding in (marked,) if marked else ("utf-8", "cp949"):
        start = codecs.getincrementaldecoder(encoding)("replace").decode(head).lstrip("\ufeff")
        try:
            if start.lstrip()[:1] in ("{", "["):
                return objects.read(path, encoding, columns, expand or list, listed=start.lstrip()[0] == "[")
            return delimited.read(path, encoding, columns, start)
        except UnicodeDecodeError as error:
            first = first or error
    named = "UTF-16" if marked == "utf-16" else "UTF-32" if marked == "utf-32" else "UTF-8"
    other = "" if marked else ", nor CP949 as Korean Excel saves it"
    raise InputError(f"is not {named} (byte {first.start}){other}", file=path, remedy="Save it as UTF-8")

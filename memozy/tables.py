"""Tables that people hand in, whichever program wrote them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import polars as pl

from memozy.records import InputError

FORMATS = (".csv", ".jsonl", ".json", ".xlsx", ".parquet")
ANONYMOUS = "rater-1"  # who rated, where a file does not say


def read_ratings(path: str | Path) -> list[dict]:
    """The rows of a file of ratings, in order, values as the file holds them (text, where it is CSV or XLSX).

    A row's number is its place here, from 1: headers and blank lines are not counted. Every row has
    `rater_id` (`ANONYMOUS` where not said) and, where the file has it or `image_id`, `context_id`. Raises InputError for a missing or unreadable file, an unknown format, no rows, or
    no column `diary_id` or `rating`; single values are the caller's to judge.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such file", file=path, remedy="Give the path of a ratings file")
    rows = read_rows(path)
    if not rows:
        raise InputError("holds no rows", file=path, remedy="Give at least one rating")
    columns = {name for row in rows for name in row}
    for name in ("diary_id", "rating"):
        if name not in columns:
            raise InputError("column is missing", file=path, field=name,
                             remedy=f"The file has: {', '.join(sorted(map(str, columns)))}")  # fmt: skip
    for row in rows:
        if row.get("rater_id") in (None, "", "unknown"):
            row["rater_id"] = ANONYMOUS
        if row.get("context_id") is None and row.get("image_id") is not None:
            row["context_id"] = row["image_id"]
    return rows


def read_rows(path: Path) -> list[dict]:
    """The rows of a table that people handed in, whichever of FORMATS it is. Raises InputError for one unreadable."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError("is of an unknown format", file=path, value=path.suffix, remedy=f"Known: {', '.join(FORMATS)}")
    if path.stat().st_size == 0:
        return []
    if suffix in (".xlsx", ".parquet"):
        return _table(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 (byte {error.start})", file=path, remedy="Save it as UTF-8") from None
    return {".csv": _csv_rows, ".jsonl": _json_rows, ".json": _json_list}[suffix](text, path)


def _table(path: Path) -> list[dict]:
    import fastexcel

    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path).to_dicts()
        # as text: ids keep their leading zeros and NA stays NA
        rows = pl.read_excel(path, infer_schema_length=0, raise_if_empty=False).to_dicts()
    except (pl.exceptions.PolarsError, fastexcel.FastExcelError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"cannot be read ({reason})", file=path, remedy="Save it again, or as CSV") from None
    return [row for row in rows if any(value is not None for value in row.values())]


def _csv_rows(text: str, path: Path) -> list[dict]:
    reader, rows = csv.DictReader(io.StringIO(text, newline=""), strict=True), []
    try:
        for row in reader:
            rows.append(row)
            if None in row:
                raise InputError("has more fields than the header", file=path, row=len(rows), value=row[None],
                                 remedy="Put a field with commas in double quotes")  # fmt: skip
    except csv.Error as error:
        raise InputError(
            f"is not CSV ({error})", file=path, row=len(rows) + 1, remedy="Close every double quote"
        ) from None
    return rows


def _json_rows(text: str, path: Path) -> list[dict]:
    rows: list[dict] = []
    for line in filter(str.strip, text.split("\n")):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"is not JSON ({error.msg})", file=path, row=len(rows) + 1, value=line,
                             remedy="Give one JSON object a line") from None  # fmt: skip
        rows.append(_object(row, path, len(rows) + 1))
    return rows


def _json_list(text: str, path: Path) -> list[dict]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON ({error.msg}, line {error.lineno})", file=path,
                         remedy="Give a list of JSON objects") from None  # fmt: skip
    if not isinstance(rows, list):
        raise InputError("is not a list", file=path, remedy="Give a list of JSON objects")
    return [_object(row, path, number) for number, row in enumerate(rows, start=1)]


def _object(row: object, path: Path, number: int) -> dict:
    if not isinstance(row, dict):
        raise InputError("is not an object", file=path, row=number, value=row, remedy="Write {…}")
    return row

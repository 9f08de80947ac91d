"""Parquet and workbooks."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path

import polars as pl

from memozy.records import InputError
from memozy.tables.cells import FAULTS, NO_CELL, WHOLE, Table, from_texts, headed

INFLATED = 1 << 30  # bytes that a workbook's parts may have in all
MOST_ROWS = 50_000_000  # a Parquet file of a few bytes can say that it has billions
SECONDS = 120  # for a workbook's reader
_NO_TEXT = (pl.Boolean, pl.Binary, pl.Object)
_BROKEN = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def read_parquet(path: Path, columns: Collection[str] | None) -> Table:
    try:
        scan = pl.scan_parquet(path)
        schema = {name: dtype for name, dtype in scan.collect_schema().items() if columns is None or name in columns}
        n_rows = scan.select(pl.len()).collect().item()
        if n_rows > MOST_ROWS:
            raise InputError(f"has {n_rows:,} rows, more than {MOST_ROWS:,}", file=path, remedy="Split it")
        texts = scan.select(_text(name, dtype) for name, dtype in schema.items()).collect()
        faults = [_faults(scan, name, dtype) for name, dtype in schema.items() if dtype != pl.String]
    except _BROKEN as error:
        raise _unreadable(path, error) from None
    names = tuple(scan.collect_schema())
    return Table(texts, pl.concat([pl.DataFrame(schema=FAULTS), *faults]), names, n_rows)


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype.is_float() or dtype.is_decimal():
        number = column.cast(pl.Float64).fill_nan(None)  # how pandas writes that there is nothing
        whole = (number == number.round()) & (number.abs() < WHOLE)
        return (
            pl.when(whole)
            .then(number.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(number.cast(pl.String))
            .alias(name)
        )
    if dtype.is_nested() or dtype in _NO_TEXT:
        return pl.when(column.is_not_null()).then(pl.lit(None, pl.String)).alias(name)
    return column.cast(pl.String, strict=False)


def _faults(scan: pl.LazyFrame, name: str, dtype: pl.DataType) -> pl.DataFrame:
    """The values that have no text."""
    given = pl.col(name).is_not_null() & (pl.col(name).is_not_nan() if dtype.is_float() else True)
    untold = dtype.is_nested() or dtype in (pl.Binary, pl.Object)
    value = pl.lit(str(dtype)) if untold else pl.col(name).cast(pl.String, strict=False)
    return (
        scan.select(row=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32), field=pl.lit(name), value=value,
                    reason=pl.lit(NO_CELL), bad=given & _text(name, dtype).is_null())
        .filter("bad").drop("bad").collect()
    )  # fmt: skip


def read_workbook(path: Path, columns: Collection[str] | None) -> Table:
    """The one sheet that holds something, read by another process, which a workbook made to burst takes with it alone."""
    _refuse_early(path)
    script = Path(__file__).with_name("workbook.py")
    try:
        done = subprocess.run([sys.executable, "-P", str(script), str(path)], capture_output=True, timeout=SECONDS,
                              env=os.environ | {"POLARS_MAX_THREADS": "1", "RUST_BACKTRACE": "0"})  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _unreadable(path, f"it takes more than {SECONDS} s") from None
    if done.returncode == 2:
        raise _unreadable(path, done.stderr.decode("utf-8", "replace").strip())
    if done.returncode:
        raise _unreadable(path, "it breaks the reader, or wants more memory than a workbook should")
    frame = pl.read_ipc(io.BytesIO(done.stdout)) if done.stdout else pl.DataFrame()
    if frame.is_empty():
        return Table.empty()
    return from_texts(frame.slice(1), headed(frame.row(0), path), columns)


def _refuse_early(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            if "EncryptedPackage".encode("utf-16-le") in file.read(1 << 20):
                raise InputError("is protected by a password", file=path, remedy="Save it without one")
        return
    try:
        parts = zipfile.ZipFile(path).infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise _unreadable(path, error) from None
    if not {"xl/workbook.xml", "content.xml"} & {part.filename for part in parts}:
        raise InputError("is an archive, and no workbook", file=path, remedy="Unpack it, or save the workbook as XLSX")
    size = sum(part.file_size for part in parts)
    if size > INFLATED:
        problem = f"unpacks to {size:,} bytes, more than {INFLATED:,}"
        raise InputError(problem, file=path, remedy="Save it as CSV or Parquet")


def _unreadable(path: Path, error: object) -> InputError:
    reason = (str(error).strip() or type(error).__name__).split("\n")[0]
    return InputError(f"cannot be read ({reason})", file=path, remedy="Save it again, or as CSV")

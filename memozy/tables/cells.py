"""What a table is once it is read: cells of text, and what could not be one."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from memozy.records import InputError

FAULTS = {"row": pl.UInt32, "field": pl.String, "value": pl.String, "reason": pl.String}
NO_CELL = "is neither text nor a number"
SHOWN = 80  # characters of a value that are told again
WHOLE = 2.0**53  # below it a floating-point number without a fraction is that whole number


@dataclass(frozen=True)
class Unusable:
    """What stands in place of a cell, or of a row, that cannot be used: its value, and why not."""

    value: object
    reason: str


@dataclass(frozen=True)
class Table:
    """rows: a String column for each that was asked for, null where a cell is empty or at fault; faults {row, field,
    value, reason}: field is null where the whole row is at fault; columns: the names of all that the file has."""

    rows: pl.DataFrame
    faults: pl.DataFrame
    columns: tuple[str, ...]
    n_rows: int

    @classmethod
    def empty(cls) -> Table:
        return cls(pl.DataFrame(), pl.DataFrame(schema=FAULTS), (), 0)


def shown(value: object) -> str:
    """A value as it is told again: its text, cut off where it is long."""
    text = value[: SHOWN + 1] if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def on_one_line(name: str) -> str:
    """A column's name as an error tells it."""
    return shown(" ".join(name.split()))


def headed(names: Iterable[object], file: Path) -> list[str]:
    """A header's names, stripped; a nameless column is "". Raises InputError for a name that stands twice."""
    found = ["" if name is None else str(name).strip().lstrip("\ufeff") for name in names]
    for place, name in enumerate(found):
        if name and name in found[:place]:
            raise InputError("column stands twice", file=file, field=on_one_line(name), remedy="Keep the one that is meant")
    return found


def from_texts(frame: pl.DataFrame, names: Sequence[str], columns: Collection[str] | None) -> Table:
    """A table of String columns that have these names, blank rows left out."""
    frame = frame.filter(pl.any_horizontal(pl.all() != "")) if frame.width else frame
    kept = [pl.col(old).alias(new) for old, new in zip(frame.columns, names, strict=True) if _wanted(new, columns)]
    return Table(frame.select(kept), pl.DataFrame(schema=FAULTS), tuple(filter(None, names)), frame.height)


def from_objects(chunks: Iterable[list[dict | Unusable]], columns: Collection[str] | None, header: Iterable[str] = ()) -> Table:  # fmt: skip
    """A table of objects, which come in lists so that few are in memory at once. header: names that it has in any case."""
    parts = [_chunk(chunk, columns) for chunk in chunks] or [Table.empty()]
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + part.n_rows)
    faults = [part.faults.with_columns(pl.col("row") + start) for part, start in zip(parts, starts, strict=False)]
    names = sorted({*filter(None, header), *(name for part in parts for name in part.columns)})
    # every chunk has every column, so that they stand below each other though some have no cell of it
    wanted = [name for name in names if _wanted(name, columns)]
    whole = [part.rows.select(pl.col(n) if n in part.rows.columns else pl.repeat(None, part.n_rows, dtype=pl.String).alias(n)
                              for n in wanted) for part in parts]  # fmt: skip
    return Table(pl.concat(whole), pl.concat(faults).cast(FAULTS), tuple(names), starts[-1])


def _wanted(name: str, columns: Collection[str] | None) -> bool:
    return bool(name) and (columns is None or name in columns)


def _chunk(objects: list[dict | Unusable], columns: Collection[str] | None) -> Table:
    faults = [(n, None, o.value, o.reason) for n, o in enumerate(objects, start=1) if isinstance(o, Unusable)]
    rows = [o if isinstance(o, dict) else {} for o in objects] if faults else objects
    names = set().union(*rows)
    series = []
    for name in names:
        if not _wanted(name, columns):
            continue
        values = [row.get(name) for row in rows]
        if not set(map(type, values)) <= {str, type(None)}:
            cells = [_cell(value) for value in values]
            faults += [(n, name, c.value, c.reason) for n, c in enumerate(cells, start=1) if isinstance(c, Unusable)]
            values = [None if isinstance(cell, Unusable) else cell for cell in cells]
        series.append(_series(name, values))
    listed = [(n, field, shown(value), reason) for n, field, value, reason in faults]
    return Table(pl.DataFrame(series), pl.DataFrame(listed, schema=FAULTS, orient="row"), tuple(names), len(objects))


def _cell(value: object) -> str | Unusable | None:
    if value is None or isinstance(value, str | Unusable):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None  # how pandas writes that there is nothing
        return str(int(value)) if abs(value) < WHOLE and value.is_integer() else str(value)
    return str(value) if type(value) is int else Unusable(value, NO_CELL)


def _series(name: str, values: list[str | None]) -> pl.Series:
    try:
        return pl.Series(name, values, dtype=pl.String)
    except UnicodeEncodeError:  # half a character, which JSON can write; `memozy.texts.clean` has the same rule
        whole = [v and v.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for v in values]
        return pl.Series(name, whole, dtype=pl.String)

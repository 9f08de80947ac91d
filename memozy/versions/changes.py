"""What changed from one validated data set to another, in rows and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from memozy import records
from memozy.records import DIARIES, RATINGS, SURROGATES, InputError

RATERS_SHOWN = 20


@dataclass(frozen=True)
class DataSet:
    """What `validate_data` pins. Data sets from before there were surrogates have none."""

    ratings: pl.DataFrame
    diaries: pl.DataFrame
    surrogates: pl.DataFrame
    surrogate_diaries: pl.DataFrame


def load(folder: Path) -> DataSet:
    """The data set in `folder`. Raises InputError where it holds none."""
    if not (folder / "ratings.parquet").is_file():
        raise InputError("holds no data set", file=folder, remedy="It should hold ratings.parquet, as validate_data writes it")

    def optional(name: str, schema: records.Schema) -> pl.DataFrame:
        file = folder / name
        return records.read(file, schema) if file.is_file() else pl.DataFrame(schema=schema.dtypes)

    return DataSet(
        records.read(folder / "ratings.parquet", RATINGS), records.read(folder / "diaries.parquet", DIARIES),
        optional("surrogates.parquet", SURROGATES), optional("surrogate_diaries.parquet", DIARIES),
    )  # fmt: skip


def compare(before: DataSet, after: DataSet) -> dict[str, Any]:
    """What `after` holds that `before` did not, and the other way, as values that JSON takes.

    Of diaries, rated or not, the ids; of ratings and surrogates whose number changed both numbers. `otherwise`: rows of
    which only other columns changed (source and time of a rating, prompt of a diary, …). Under `classes`, `raters` and
    `signals` the same rows are counted by level, by rater and by what a user did.
    """
    diaries = _joined(_all_diaries(before), _all_diaries(after), DIARIES, "text")
    ratings = _joined(before.ratings, after.ratings, RATINGS, "rating")
    surrogates = _joined(before.surrogates, after.surrogates, SURROGATES, "rating")
    return {
        "diaries": _counts(diaries) | {
            what: diaries.filter(state=what)["diary_id"].to_list() for what in ("added", "removed", "changed")
        },
        "ratings": _counts(ratings) | {
            "changed": _numbers(ratings, RATINGS), "classes": _by(ratings, "rating"), "raters": _by(ratings, "rater_id"),
        },
        "surrogates": _counts(surrogates) | {"changed": _numbers(surrogates, SURROGATES), "signals": _by(surrogates, "signal")},
    }  # fmt: skip


def lines(changes: dict[str, Any]) -> list[str]:
    """The same as tables for a terminal."""
    rows = [["", "before", "after", "added", "removed", "changed", "otherwise"]]
    for name, found in changes.items():
        added, removed, changed = (v if isinstance(v := found[k], int) else len(v) for k in ("added", "removed", "changed"))
        rows.append([name, found["before"], found["after"], added, removed, changed, found["otherwise"]])
    told = _table(rows)
    for title, kept in (("class", changes["ratings"]["classes"]), ("rater", changes["ratings"]["raters"]),
                        ("signal", changes["surrogates"]["signals"])):  # fmt: skip
        if title == "rater":
            kept = sorted(kept, key=lambda row: -sum(row[k] for k in ("added", "removed", "changed_from")))
        head = [title, "before", "after", "added", "removed", "changed from", "changed to"]
        if kept:
            told += ["", *_table([head, *([shown(row["value"]), *list(row.values())[1:]] for row in kept[:RATERS_SHOWN])])]
        if len(kept) > RATERS_SHOWN:
            told.append(f"… and {len(kept) - RATERS_SHOWN} more, who changed no more than these")
    return told


def _all_diaries(data: DataSet) -> pl.DataFrame:
    """Rated diaries and those with a surrogate only; a diary may be both."""
    return pl.concat([data.diaries, data.surrogate_diaries]).unique("diary_id", keep="first", maintain_order=True)


def _joined(before: pl.DataFrame, after: pl.DataFrame, schema: records.Schema, value: str) -> pl.DataFrame:
    """A row for each key of either side, in order of the keys: `state` says what became of it, `<column>_after` what it is now."""
    rows = before.with_columns(was=True).join(
        after.with_columns(**{"is": pl.lit(True)}), on=schema.key, how="full", coalesce=True, suffix="_after"
    )
    others = [name for name in schema.fields if name not in (*schema.key, value)]
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in others)
    state = (
        pl.when(pl.col("was").is_null()).then(pl.lit("added"))
        .when(pl.col("is").is_null()).then(pl.lit("removed"))
        .when(pl.col(value) != pl.col(f"{value}_after")).then(pl.lit("changed"))
        .when(differs).then(pl.lit("otherwise"))
        .otherwise(pl.lit("same"))
    )  # fmt: skip
    return rows.with_columns(state=state).sort(schema.key)


def _counts(rows: pl.DataFrame) -> dict[str, int]:
    n = dict(rows["state"].value_counts().iter_rows())
    return {
        "before": rows["was"].count(), "after": rows["is"].count(),
        **{what: n.get(what, 0) for what in ("added", "removed", "changed", "otherwise")},
    }  # fmt: skip


def _numbers(rows: pl.DataFrame, schema: records.Schema) -> list[dict]:
    return rows.filter(state="changed").select(*schema.key, before="rating", after="rating_after").to_dicts()


def _by(rows: pl.DataFrame, column: str) -> list[dict]:
    """The rows counted by the values of a column, in order of these; one that is part of the key has no other afterwards."""
    later = f"{column}_after" if f"{column}_after" in rows.columns else column

    def count(state: str) -> pl.Expr:
        return (pl.col("state") == state).sum()

    old = rows.filter(pl.col("was").is_not_null()).group_by(value=column).agg(
        before=pl.len(), removed=count("removed"), changed_from=count("changed")
    )  # fmt: skip
    new = rows.filter(pl.col("is").is_not_null()).group_by(value=later).agg(
        after=pl.len(), added=count("added"), changed_to=count("changed")
    )  # fmt: skip
    order = ["value", "before", "after", "added", "removed", "changed_from", "changed_to"]
    return old.join(new, on="value", how="full", coalesce=True).fill_null(0).sort("value").select(order).to_dicts()


def _table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows as columns of equal width, the first to the left and numbers to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(cell.rjust(width) if n else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in texts
    ]


def shown(value: object) -> str:
    """A value as a terminal may show it: what people wrote could hold control characters."""
    return f"{value:g}" if isinstance(value, float) else str(value) if str(value).isprintable() else repr(value)

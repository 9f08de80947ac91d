"""The sheet people fill in: items blinded, ratings read back and checked."""

import csv
from collections.abc import Iterable
from pathlib import Path

from memozy.records import RATING_LEVELS, InputError
from memozy.storage import read_rows

COLUMNS = ("item_id", "place", "people", "mood", "photo", "text", "rater_id", "rating")


def write_sheet(items: Iterable[dict], path: Path) -> None:
    """CSV with a BOM, so that spreadsheet programs read its Korean; no cell of it is taken for a formula there."""
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows({key: _inert(value) for key, value in item.items()} for item in items)


def _inert(value: str | None) -> str:
    value = value or ""
    return "'" + value if value[:1] in ("=", "+", "-", "@", "\t") else value


def read_sheet(path: str, known: set[str]) -> dict[str, list[float]]:
    """item_id -> ratings, from a filled-in sheet (CSV, XLSX, …); rows without a rating are passed over. Raises InputError."""
    if not Path(path).is_file():
        raise InputError("no such file", file=path, field="evaluation.ratings", remedy="Give the filled-in to_rate.csv")
    found: dict[str, list[float]] = {}
    for number, row in enumerate(read_rows(Path(path)), start=1):
        value = str(row.get("rating") or "").strip()
        if not value:
            continue
        if row.get("item_id") not in known:
            raise InputError("was not asked for", file=path, row=number, field="item_id", value=row.get("item_id"),
                             remedy="Fill in the to_rate.csv of the evaluation in 'previous'")  # fmt: skip
        try:
            level = float(value)
        except ValueError:
            level = float("nan")
        if level not in RATING_LEVELS:
            raise InputError("is not a rating", file=path, row=number, field="rating", value=value,
                             remedy="Allowed: -1, -0.5, 0, 0.5, 1")  # fmt: skip
        found.setdefault(row["item_id"], []).append(level)
    if not found:
        raise InputError("holds no ratings", file=path, field="rating", remedy="Fill in the column 'rating'")
    return found

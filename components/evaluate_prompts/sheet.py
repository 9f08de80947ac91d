"""The sheets people fill in, one a rater: items blinded and shuffled, ratings read back and checked."""

from collections.abc import Iterable
from pathlib import Path

from memozy import sheets
from memozy.records import RATING_LEVELS, InputError
from memozy.tables import read_rows

COLUMNS = ("diary_id", "rater_id", "place", "people", "mood", "photo", "text", "rating")


def write_sheets(items: Iterable[dict], folder: Path) -> None:
    """`<rater_id>.csv` for every rater of the items, each in the order of the items' blinded names."""
    folder.mkdir(parents=True, exist_ok=True)
    by_rater: dict[str, list[dict]] = {}
    for item in sorted(items, key=lambda item: item["diary_id"]):
        by_rater.setdefault(item["rater_id"], []).append(item)
    for rater, own in by_rater.items():
        sheets.write(folder / f"{rater}.csv", COLUMNS, own)


def read_sheets(path: str, known: set[str]) -> dict[tuple[str, str], float]:
    """(diary_id, rater_id) -> rating, from a filled-in sheet (CSV, XLSX, …) or a folder of them.

    Rows without a rating are passed over. known: the items that were asked about. Raises InputError.
    """
    place = Path(path)
    if not place.exists():
        raise InputError("no such file", file=path, field="evaluation.ratings", remedy="Give the filled-in to_rate")
    files = [place] if place.is_file() else sorted(p for p in place.iterdir() if p.is_file() and p.name[0] != ".")
    found: dict[tuple[str, str], float] = {}
    for file in files:
        for number, row in enumerate(read_rows(file), start=1):
            if str(row.get("rating") or "").strip():
                key, level = _rating(row, file, number, known)
                if found.setdefault(key, level) != level:
                    raise InputError("has another rating by the same rater", file=file, row=number, field="diary_id",
                                     value=key[0], remedy="Keep the one that is meant")  # fmt: skip
    if not found:
        raise InputError("holds no ratings", file=path, field="rating", remedy="Fill in the column 'rating'")
    return found


def _rating(row: dict, file: Path, number: int, known: set[str]) -> tuple[tuple[str, str], float]:
    if row.get("diary_id") not in known:
        raise InputError("was not asked for", file=file, row=number, field="diary_id", value=row.get("diary_id"),
                         remedy="Fill in the to_rate of the evaluation in 'previous'")  # fmt: skip
    rater = str(row.get("rater_id") or "").strip()
    if not rater:
        raise InputError("is empty", file=file, row=number, field="rater_id", remedy="Say who rated")
    value = str(row["rating"]).strip()
    try:
        level = float(value)
    except ValueError:
        level = float("nan")
    if level not in RATING_LEVELS:
        raise InputError("is not a rating", file=file, row=number, field="rating", value=value,
                         remedy="Allowed: -1, -0.5, 0, 0.5, 1")  # fmt: skip
    return (row["diary_id"], rater), level

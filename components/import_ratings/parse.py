"""From the rows of a ratings file to ratings and diaries; what cannot be used is set aside with its reason."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from memozy.records import RATING_LEVELS, SIMULATED


@dataclass
class Parsed:
    """ratings: rows of RATINGS; texts: diary id -> (its context_id and image_id, text, rated_at), where the
    file has texts; quarantine: {row, field, value, reason} in row order, rows from 1; repeated: rows that said nothing new."""

    ratings: list[dict] = field(default_factory=list)
    texts: dict[str, tuple[dict, str, str | None]] = field(default_factory=dict)
    quarantine: list[dict] = field(default_factory=list)
    repeated: int = 0


class _Bad(Exception):
    def __init__(self, field: str, value: object, reason: str) -> None:
        self.field, self.value, self.reason = field, value, reason


def has_texts(rows: list[dict]) -> bool:
    return any("text" in row for row in rows)


def parse(rows: list[dict], source: str, known: Collection[str]) -> Parsed:
    """Read every row of a ratings file (see `tables.read_ratings`).

    A file with texts brings its own diaries; without, a diary must be one of `known`. Rows that
    repeat a rating are counted and dropped; of raters who contradict themselves every row on that
    diary is set aside, since nobody knows which one is meant.
    """
    texts, parsed = has_texts(rows), Parsed()
    seen: dict[tuple[str, str], dict[int, dict]] = {}
    for number, row in enumerate(rows, start=1):
        try:
            rating = _rating(row, source)
            if texts:
                _keep_text(row, rating, parsed.texts)
            elif rating["diary_id"] not in known:
                raise _Bad("diary_id", rating["diary_id"], "no such diary")
        except _Bad as bad:
            parsed.quarantine.append(_aside(number, bad))
        else:
            seen.setdefault((rating["diary_id"], rating["rater_id"]), {})[number] = rating
    for (_, rater), by_row in seen.items():
        levels = [r["rating"] for r in by_row.values()]
        if len(set(levels)) > 1:
            said = " and ".join(f"{r['rating']:g} in row {n}" for n, r in by_row.items())
            parsed.quarantine += [
                _aside(n, _Bad("rating", r["rating"], f"rater {rater!r} contradicts themselves: {said}"))
                for n, r in by_row.items()
            ]
        else:
            parsed.ratings.append(next(iter(by_row.values())))
            parsed.repeated += len(by_row) - 1
    parsed.quarantine.sort(key=lambda q: q["row"])
    rated = {r["diary_id"] for r in parsed.ratings}
    parsed.texts = {diary: text for diary, text in parsed.texts.items() if diary in rated}
    return parsed


def _aside(row: int, bad: _Bad) -> dict:
    return {"row": row, "field": bad.field, "value": str(bad.value), "reason": bad.reason}


def _rating(row: dict, source: str) -> dict:
    rated_at = row.get("rated_at")
    return {
        "diary_id": _name(row, "diary_id"),
        "rater_id": _name(row, "rater_id"),
        "rating": _level(row.get("rating")),
        # simulated ratings stay marked, whatever files they have been through
        "source": SIMULATED if row.get("source") == SIMULATED else source,
        "rated_at": None if rated_at is None else str(rated_at),
    }


def _name(row: dict, column: str) -> str:
    value = row.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise _Bad(column, value, "is not an id")
    return value.strip()


def _level(value: object) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise _Bad("rating", value, "is not a number") from None
    if number not in RATING_LEVELS:
        raise _Bad("rating", value, f"is not one of {', '.join(f'{level:g}' for level in RATING_LEVELS)}")
    return number + 0.0  # -0.0 is 0.0


def _keep_text(row: dict, rating: dict, texts: dict[str, tuple[dict, str, str | None]]) -> None:
    text, diary = row.get("text"), rating["diary_id"]
    if not isinstance(text, str) or not text.strip():
        raise _Bad("text", text, "is empty or not a text")
    about = {"context_id": _name(row, "context_id") if row.get("context_id") is not None else diary,
             "image_id": _name(row, "image_id") if row.get("image_id") not in (None, "") else None}  # fmt: skip
    before, old_text, _ = texts.setdefault(diary, (about, text, rating["rated_at"]))
    if text != old_text:
        raise _Bad("text", text, f"is not the text that diary {diary!r} has in an earlier row")
    for column, value in about.items():
        if value != before[column]:
            raise _Bad(column, value, f"is not the {column} that diary {diary!r} has in an earlier row")

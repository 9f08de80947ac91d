"""Sheets to send to raters. What comes back, `import_ratings` takes as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from annotation.items import Item, assigned, name_fault
from memozy import sheets
from memozy.records import SLOTS, InputError

COLUMNS = ("diary_id", "context_id", "image_id", "rater_id", *SLOTS, "text", "rating")
NEEDED = {"diary_id", "rater_id", "text", "rating"}


def write(items: Sequence[Item], out: Path, raters: Sequence[str], double: float, seed: int) -> list[Path]:
    """The sheets written: one named `out`, or `<out>-<rater>` for each of several raters.

    A column that would be empty throughout is left out. Raises InputError, before anything is written, for a name that
    no file can have, a sheet that exists and a text too long for a cell; and where nothing can be written.
    """
    for place, name in enumerate(raters):
        fault = name_fault(name, raters[:place])
        if fault:
            raise InputError(
                fault, field="--raters", value=name, remedy="Give names with commas between them: --raters a,b"
            )
    share = assigned(items, raters or [""], double, seed)
    paths = {rater: out.with_stem(f"{out.stem}-{rater}") if len(raters) > 1 else out for rater in share}
    sheets.write_all({path: _table(share[rater], rater) for rater, path in paths.items()})
    return list(paths.values())


def _table(items: Sequence[Item], rater: str) -> tuple[list[str], list[dict[str, str]]]:
    rows = [_row(item, rater) for item in items]
    return [c for c in COLUMNS if c in NEEDED or any(row.get(c) for row in rows)], rows


def _row(item: Item, rater: str) -> dict[str, str]:
    return {**item.keys, **item.about, "diary_id": item.id, "rater_id": rater, "text": item.texts[0]}

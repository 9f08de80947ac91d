"""JSON: a list of objects, or one object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from memozy.records import InputError
from memozy.tables.cells import Table, Unusable, from_objects

CHUNK = 20_000


def read(
    path: Path, encoding: str, columns: Collection[str] | None, expand: Callable[[list], list], *, listed: bool
) -> Table:
    """Raises InputError for a list that is not whole, and UnicodeDecodeError."""
    # lines end with \n alone: JSON leaves U+2028 and its like as they are inside a text
    with open(path, encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="\n") as text:
        chunks = _list(text, path) if listed else _lines(text)
        return from_objects((expand(chunk) for chunk in chunks), columns)


def _list(text: TextIO, path: Path) -> Iterator[list]:
    try:
        values = _decode(text.read())
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON ({error.msg}, line {error.lineno})", file=path,
                         remedy="Give a list of JSON objects, or one object a line") from None  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise InputError(_problem(error), file=path, remedy="Give a list of flat JSON objects") from None
    for start in range(0, len(values), CHUNK):
        yield [_object(value) for value in values[start : start + CHUNK]]


def _lines(text: TextIO) -> Iterator[list]:
    lines = filter(str.strip, text)
    while chunk := list(islice(lines, CHUNK)):
        try:
            values = list(map(_decode, chunk))
        except (ValueError, RecursionError):
            values = list(map(_tried, chunk))
        yield [_object(value) for value in values]


def _tried(line: str) -> object:
    try:
        return _decode(line)
    except (ValueError, RecursionError) as error:
        return Unusable(line.strip(), _problem(error))


def _problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is JSON nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON ({error.msg})"
    return "has a number of too many digits" if "digits" in str(error) else str(error)


def _object(value: object) -> dict | Unusable:
    return value if isinstance(value, dict | Unusable) else Unusable(value, "is not an object: write {…}")


def _once(pairs: list[tuple[str, object]]) -> dict:
    """An object, of which plain JSON would silently take the last of two values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("has a key twice")
    return found


_decode = json.JSONDecoder(object_pairs_hook=_once).decode

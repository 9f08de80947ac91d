"""The log of what users were shown and what they made of it: read from files, and what an event must say."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from memozy.records import EVENTS, InputError, check, read, read_jsonl

BATCH = ".parquet"  # how a published batch's name ends, after the SHA-256 of its bytes
LONGEST_ID = 500  # characters, which any database can index
_LOG = replace(EVENTS, key=())  # one event may stand in a log twice
_SHOWN, _EDIT = pl.col("kind") == "shown", pl.col("kind") == "edit"
_BARE = pl.col("draft").fill_null("") == ""


def read_events(path: str | Path) -> pl.DataFrame:
    """The events (EVENTS, but `at` as a time) of a log, in its order; one told again in the same words counts once.

    `path`: a file, JSONL or Parquet, or a folder of batches that `publish` wrote, whose events stand in the order of their
    ids. Raises InputError as `read_log` and `checked` do, and for an event about a showing that isn't there and an edit of
    a text that neither it nor its showing tells.
    """
    events = checked(read_log(path), path)
    showings = events.filter(_SHOWN)
    drafted = pl.col("shown_id").is_in(showings.filter(~_BARE)["shown_id"].implode())
    _refuse(events, path, [
        (~pl.col("shown_id").is_in(showings["event_id"].implode()), "shown_id", "is about a showing that is not in the log",
         "Keep every 'shown' event: without it nobody knows which prompt was liked"),
        (_EDIT & ~drafted & _BARE, "draft", "is empty, here and at the showing", "Log the text that was edited with either"),
    ])  # fmt: skip
    return timed(events.drop("row"))


def timed(events: pl.DataFrame) -> pl.DataFrame:
    """Events that were `checked`, with `at` as a time, UTC; what names no zone is UTC."""
    return events.with_columns(pl.Series("at", [_time(at) for at in events["at"]], dtype=pl.Datetime("us", "UTC")))


def read_log(path: str | Path) -> pl.DataFrame:
    """The events (EVENTS) of a file or a folder of batches as they stand there. Raises InputError for what is no log."""
    path = Path(path)
    try:
        if path.is_dir():
            return _read_batches(path)
        with open(path, "rb") as file:
            parquet = file.read(4) == b"PAR1"
        return read(path, _LOG) if parquet else read_jsonl(path, _LOG)
    except FileNotFoundError:
        raise InputError("no such file", file=path, remedy="It should hold events, one JSON object a line") from None
    except (pl.exceptions.PolarsError, UnicodeError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"can't be read ({reason})", file=path,
                         remedy="Give events as JSON lines in UTF-8, or as Parquet") from None  # fmt: skip


def _read_batches(folder: Path) -> pl.DataFrame:
    """Every batch is what its name says, or InputError."""
    paths: set[Path] = set()
    while paths != (paths := set(folder.glob(f"*{BATCH}"))):
        pass  # one listing may lack a batch that was published before another one it has
    batches = [pl.DataFrame(schema=EVENTS.dtypes)]
    for path in paths:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != path.stem:
            raise InputError("is no published batch: its name is not the SHA-256 of its bytes", file=path,
                             remedy="Delete it and publish again; hand a log of your own in by its file's name")  # fmt: skip
        batches.append(check(pl.read_parquet(path), _LOG, path))
    return pl.concat(batches).sort("event_id")


def checked(events: pl.DataFrame, file: object) -> pl.DataFrame:
    """Events (EVENTS) of which each is whole in itself, those told again in the same words left out, with their `row` from 1.

    Raises InputError for an event told again in other words, a showing that isn't about itself or has no prompt or no
    propensity above 0, an edit that doesn't say what became of the text, an `at` that is no time, an id that is empty or
    longer than LONGEST_ID, and a NUL character, which no database keeps.
    """
    events = check(events, _LOG, file).with_row_index("row", offset=1)
    events = events.unique(list(EVENTS.fields), keep="first", maintain_order=True)
    times = pl.Series([at is None or _is_time(at) for at in events["at"]], dtype=pl.Boolean)
    texts = [name for name, kind in EVENTS.dtypes.items() if kind == pl.String]
    _refuse(events, file, [
        (~pl.col("event_id").is_first_distinct(), "event_id", "is told again, and differently",
         "An event never changes: give the new one an id of its own"),
        *((~pl.col(id_).str.len_chars().is_between(1, LONGEST_ID), id_, f"is not of 1 to {LONGEST_ID} characters",
           "Give a short id, such as a UUID") for id_ in ("event_id", "shown_id")),
        (_SHOWN & (pl.col("shown_id") != pl.col("event_id")), "shown_id", "is not the showing's own event_id",
         "A 'shown' is about itself"),
        (_SHOWN & pl.col("prompt_id").is_null(), "prompt_id", "is empty", "A 'shown' says which prompt wrote the text"),
        (_SHOWN & pl.col("propensity").is_null(), "propensity", "is empty", "Log what `draw` returned with the prompt"),
        (_SHOWN & (pl.col("propensity") == 0), "propensity", "is 0, of a prompt that was shown",
         "Log what `draw` returned with the prompt"),
        (_EDIT & pl.col("final").is_null(), "final", "is empty", "An 'edit' says what became of the text"),
        (~pl.lit(times), "at", "is not a time", "Give ISO 8601, such as 2025-03-01T09:30:00Z, or leave it out"),
        *((pl.col(name).str.contains("\0", literal=True), name, "holds a NUL character", "Leave it out") for name in texts),
    ])  # fmt: skip
    return events


def _refuse(events: pl.DataFrame, file: object, rules: list[tuple[pl.Expr, str, str, str]]) -> None:
    """Raise InputError for the first of the rules (what is wrong, in which field, how, and the remedy) that a row breaks."""
    firsts = events.select(pl.arg_where(bad).first().alias(str(n)) for n, (bad, *_) in enumerate(rules)).row(0)
    for at, (_, field, problem, remedy) in zip(firsts, rules, strict=True):
        if at is not None:
            raise InputError(
                problem, file=file, row=events["row"][at], field=field, value=events[field][at], remedy=remedy
            )


def _time(at: str | None) -> datetime | None:
    moment = None if at is None else datetime.fromisoformat(at)
    return moment and moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _is_time(at: str) -> bool:
    try:
        return bool(_time(at))
    except (ValueError, OverflowError):
        return False

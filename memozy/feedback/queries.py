"""What the store asks of its database."""

from __future__ import annotations

import polars as pl

from memozy.feedback import schema
from memozy.records import EVENTS, InputError


def insert(db, events: pl.DataFrame, file: object) -> int:
    """How many of the events (EVENTS and `row`) were new. Raises InputError for one that is there in other words."""
    from sqlalchemy import select

    table = schema.tables()[0]
    new = set(db.scalars(*_insertion(db.dialect.name, events)))
    there = events.filter(~pl.col("event_id").is_in(list(new)))
    if there.height:
        asked = select(*columns(table)).where(table.c.event_id.in_(there["event_id"].to_list()))
        known = {row["event_id"]: row for row in db.execute(asked).mappings()}
        for event in there.to_dicts():
            other = [name for name in EVENTS.fields if event[name] != known[event["event_id"]][name]]
            if other:
                raise InputError(f"is in the store with another '{other[0]}'", file=file, row=event["row"] if file else None,
                                 field="event_id", value=event["event_id"],
                                 remedy="An event never changes: give the new one an id of its own")  # fmt: skip
    return len(new)


def _insertion(dialect: str, events: pl.DataFrame) -> tuple:
    """The statement, and its rows, that inserts what isn't there and returns its ids.

    PostgreSQL takes a list for each column: a statement with a parameter for each value takes five times as long.
    """
    from sqlalchemy import ARRAY, bindparam, func, select
    from sqlalchemy.dialects import postgresql, sqlite

    table = schema.tables()[0]
    if dialect == "sqlite":
        ours, rows = sqlite.insert(table), [events.select(*EVENTS.fields).to_dicts()]
    else:
        lists = [bindparam(name, events[name].to_list(), ARRAY(table.c[name].type)) for name in EVENTS.fields]
        told = func.unnest(*lists).table_valued(*EVENTS.fields).render_derived()
        ours, rows = postgresql.insert(table).from_select(list(EVENTS.fields), select(told)), []
    return ours.on_conflict_do_nothing().returning(table.c.event_id), *rows


def whole():
    """The events, and a query for the ids of those that don't wait."""
    from sqlalchemy import func, select

    e = schema.tables()[0].alias("e")
    shown = schema.tables()[0].alias("shown")
    text = func.coalesce(func.nullif(e.c.draft, ""), func.nullif(shown.c.draft, ""))
    about = (shown.c.event_id == e.c.shown_id) & (shown.c.kind == "shown")
    drafted = (e.c.kind != "edit") | text.is_not(None)
    return e, select(e.c.event_id).join(shown, about).where(drafted)


def columns(events) -> list:
    return [events.c[name] for name in EVENTS.fields]


def frame(db, asked) -> pl.DataFrame:
    return pl.DataFrame(db.execute(asked).tuples().all(), schema=EVENTS.dtypes, orient="row")

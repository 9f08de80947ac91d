"""The store's tables, their version, and how a database is opened.

An older store is brought up to date as it is opened; a newer one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from memozy.records import EVENTS, InputError

UPGRADES: tuple[Callable[[Any], None], ...] = ()  # the n-th takes a connection and leads from version n + 1 to the next
PLACE = "MEMOZY_FEEDBACK"
WAIT = 60  # seconds for other writers of an SQLite file
CONNECT = 10  # seconds for a server to answer
DRIVERS = {"sqlite": "sqlite", "sqlite+pysqlite": "sqlite",
           "postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}  # fmt: skip
LOCK = 0x6D656D6F7A79  # "memozy": PostgreSQL's advisory locks are numbers


@cache
def tables():
    """events, batches and version: (event, with the batch it was claimed for), (a batch), (one row: the schema's version)."""
    from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, Table, Text
    from sqlalchemy.dialects.postgresql import TEXT

    data = MetaData()
    kinds = {name: Double() if name == "propensity" else Text() for name in EVENTS.fields}
    # ids are compared and sorted by their bytes, in any database
    kinds |= dict.fromkeys(("event_id", "shown_id"), Text().with_variant(TEXT(collation="C"), "postgresql"))
    batches = Table(
        "feedback_batches", data,
        Column("batch", Integer, primary_key=True), Column("n_events", Integer, nullable=False),
        Column("sha256", Text),  # of its bytes, once they were made
        Column("published", Boolean, nullable=False),
    )  # fmt: skip
    events = Table(
        "feedback_events", data,
        *(Column(name, kinds[name], primary_key=name == "event_id", nullable=f.nullable) for name, f in EVENTS.fields.items()),
        Column("batch", Integer, ForeignKey(batches.c.batch), index=True),  # none: not claimed yet
    )  # fmt: skip
    new = events.c.batch.is_(None)
    Index("feedback_new", events.c.shown_id, sqlite_where=new, postgresql_where=new)
    version = Table("feedback_version", data, Column("version", Integer, primary_key=True))
    return events, batches, version


def connect(url: str, create: bool):
    """An engine on an up-to-date store. create: make the tables where there are none.

    Raises InputError for what is no URL of SQLite or PostgreSQL, an SQLite database that is no file, a database that can't
    be reached, one without a store (unless `create`), and a store of a newer version.
    """
    from sqlalchemy import create_engine, event, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        place = make_url(url)
        place = place.set(drivername=DRIVERS[place.drivername])
    except (ArgumentError, KeyError, ValueError):  # which are not quoted: a password may stand in it
        raise InputError("is no URL of SQLite or PostgreSQL", field=PLACE,
                         remedy="Such as sqlite:///feedback.sqlite or postgresql://user:password@host/name") from None  # fmt: skip
    lite = place.drivername == "sqlite"
    if lite and (place.database or ":memory:").startswith((":memory:", "file:")):  # which may be in memory as well
        raise InputError("names no file, so that what is recorded would be lost", file=where(url), field=PLACE,
                         remedy="Such as sqlite:///feedback.sqlite")  # fmt: skip
    if lite and not create and not (place.database and Path(place.database).is_file()):
        raise _no_store(url)
    with explained(url):
        try:
            engine = create_engine(place, connect_args={"timeout": WAIT} if lite else {"connect_timeout": CONNECT})
        except ValueError:  # which quotes it
            raise InputError("has an option whose value can't be read", file=where(url), field=PLACE,
                             remedy="Mend what follows '?', or leave it out") from None  # fmt: skip
        if lite:

            @event.listens_for(engine, "connect")
            def _(connection, record) -> None:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")  # what was claimed stays so, though the power fails

        _prepare(engine, url, create)
    return engine


@contextmanager
def explained(url: str) -> Iterator[None]:
    """What a database refuses, as an InputError of one line without a password."""
    from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError

    try:
        yield
    except IntegrityError:
        raise
    except (DatabaseError, ArgumentError) as error:
        reason = str(getattr(error, "orig", None) or error).split("\n")[0]
        raise InputError(f"can't be used ({reason})", file=where(url), field=PLACE,
                         remedy="Check the URL, its user's rights, and that the database runs") from None  # fmt: skip


def where(url: str) -> str:
    """A store's place without user, password and options."""
    from sqlalchemy import URL, make_url

    place = make_url(url)
    return URL.create(
        place.get_backend_name(), host=place.host, port=place.port, database=place.database
    ).render_as_string()


def _prepare(engine, url: str, create: bool) -> None:
    """Make the tables, or bring them up to date; of several processes that do so at once, one comes first."""
    from sqlalchemy import insert, update

    version = tables()[2]
    current = len(UPGRADES) + 1
    with engine.connect() as db:
        found = _version(db)
    if found is None and not create:
        raise _no_store(url)
    if found is None or found < current:
        with engine.begin() as db:
            lock(db)
            found = _version(db)
            if found is None:
                version.metadata.create_all(db)
                db.execute(insert(version).values(version=current))
            else:
                for upgrade in UPGRADES[found - 1 :]:
                    upgrade(db)
                db.execute(update(version).values(version=max(found, current)))
            found = _version(db)
    if found > current:
        raise InputError(f"was made by a newer memozy: its schema is {found}, this one knows {current}", file=where(url),
                         field=PLACE, remedy="Update memozy-rl")  # fmt: skip


def lock(db) -> None:
    """Begin a transaction that no other can cross that begins like this; it ends the lock, however it ends.

    In PostgreSQL events are recorded meanwhile, in SQLite they wait.
    """
    lite = db.dialect.name == "sqlite"
    db.exec_driver_sql("BEGIN IMMEDIATE" if lite else f"SELECT pg_advisory_xact_lock({LOCK})")


def _version(db) -> int | None:
    from sqlalchemy import inspect, select

    version = tables()[2]
    return db.scalar(select(version.c.version)) if inspect(db).has_table(version.name) else None


def _no_store(url: str) -> InputError:
    return InputError("holds no feedback yet", file=where(url), field=PLACE,
                      remedy="Name the app's store, or take events in: memozy feedback import FILE")  # fmt: skip

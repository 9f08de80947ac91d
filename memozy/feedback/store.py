"""The feedback store: what the app records, each event once, and the batch each is claimed for.

A database that many processes may use at once: SQLite by default, PostgreSQL in production.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from memozy.feedback import queries, schema
from memozy.feedback.events import checked, timed
from memozy.records import EVENTS, InputError

DEFAULT = "sqlite:///feedback.sqlite"
MOST = 50_000  # events in a batch, which bounds memory
CHUNK = 1_000  # events written in one statement


@dataclass(frozen=True)
class Added:
    """n_repeated: events that were told before in the same words."""

    n_new: int
    n_repeated: int


@dataclass(frozen=True)
class Batch:
    """number: in the order of claims; sha256: of the bytes it is published as, once they were made."""

    number: int
    n_events: int
    sha256: str | None
    published: bool


@dataclass(frozen=True)
class Status:
    """Events by kind, and how far they are. n_waiting: reactions whose showing, or the text it showed, isn't there yet."""

    kinds: dict[str, int]
    n_new: int
    n_waiting: int
    n_claimed: int
    n_published: int
    n_batches: int


class Store:
    """The store at `url`; opened by the first use, made by the first event. Threads and processes may share one.

    Every method raises InputError for a database that can't be used, and all but `record` and `add` where there is no
    store yet.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        if "_opened" in self.__dict__:
            self._opened.dispose()
            del self._opened  # the next use opens it again

    def record(self, **event: Any) -> bool:
        """Take one event in, by the fields of `records.EVENTS`; False where it was told before. Once it returns, it is kept.

        Repeat a call whose end you don't know, with the same event_id: it counts once. A reaction may come before its
        showing. Raises InputError as `add` does.
        """
        for name, value in event.items():
            if name not in EVENTS.fields:
                raise InputError("is not known", field=name, remedy=f"An event has: {', '.join(EVENTS.fields)}")
            right = (int, float) if name == "propensity" else str
            if value is not None and (not isinstance(value, right) or isinstance(value, bool)):
                raise InputError(f"is not {'text' if right is str else 'a number'}", field=name, value=value,
                                 remedy=f"Give {EVENTS.fields[name].meaning}")  # fmt: skip
        try:
            frame = pl.DataFrame({name: pl.Series([value], dtype=EVENTS.dtypes[name]) for name, value in event.items()})
        except UnicodeEncodeError:
            raise InputError("holds half a character", field="event_id", value=event.get("event_id"),
                             remedy="Cut texts between characters") from None  # fmt: skip
        return self.add(frame).n_new == 1

    def add(self, events: pl.DataFrame, file: object = None) -> Added:
        """Take events (EVENTS) in, all or none.

        Raises InputError as `events.checked` does, about `file`, and for an event that the store has in other words.
        """
        whole = checked(events, file).sort("event_id")  # who writes the same ids at once waits, and never crosswise
        # -0 becomes 0: SQLite forgets its sign, and PostgreSQL keeps it
        whole = whole.with_columns(propensity=pl.when(pl.col("propensity") == 0).then(0.0).otherwise("propensity"))
        with self._writing(create=True) as db:
            n_new = sum(queries.insert(db, some, file) for some in whole.iter_slices(CHUNK))
        return Added(n_new, events.height - n_new)

    def claim(self, most: int = MOST) -> int:
        """Put up to `most` events that are in no batch into a new one, for good; how many, 0 where there are none.

        A reaction waits until its showing is there, and an edit until the text is that was edited. A showing is in the
        batch of its reactions or in an earlier one, so batches make a whole log at any time.
        """
        from sqlalchemy import case, insert, update

        events, batches, _ = schema.tables()
        with self._writing() as db:
            schema.lock(db)
            number = db.scalar(insert(batches).values(n_events=0, published=False).returning(batches.c.batch))
            e, whole = queries.whole()
            first = case((e.c.kind == "shown", 0), else_=1)
            some = whole.where(e.c.batch.is_(None)).order_by(e.c.shown_id, first, e.c.event_id).limit(most).subquery()
            of_these = events.c.event_id.in_(some.select())
            n_events = db.execute(update(events).where(of_these).values(batch=number)).rowcount
            if n_events:
                db.execute(update(batches).where(batches.c.batch == number).values(n_events=n_events))
            else:
                db.rollback()
        return n_events

    def batches(self) -> list[Batch]:
        """All batches, in the order of their claims."""
        from sqlalchemy import select

        batches = schema.tables()[1]
        with self._reading() as db:
            columns = batches.c.batch, batches.c.n_events, batches.c.sha256, batches.c.published
            return [Batch(*row) for row in db.execute(select(*columns).order_by(batches.c.batch))]

    def events(self, batch: Batch) -> pl.DataFrame:
        """A batch's events (EVENTS), by their ids."""
        from sqlalchemy import select

        events = schema.tables()[0]
        with self._reading() as db:
            return queries.frame(db, select(*queries.columns(events)).where(events.c.batch == batch.number)).sort(
                "event_id"
            )

    def pin(self, batch: Batch, sha256: str) -> str:
        """The digest of the batch's bytes: this one, or the one that was there first."""
        from sqlalchemy import select, update

        batches = schema.tables()[1]
        this = batches.c.batch == batch.number
        with self._writing() as db:
            db.execute(update(batches).where(this, batches.c.sha256.is_(None)).values(sha256=sha256))
            return db.scalar(select(batches.c.sha256).where(this))

    def mark(self, batch: Batch) -> None:
        """The batch is published."""
        from sqlalchemy import update

        batches = schema.tables()[1]
        with self._writing() as db:
            db.execute(update(batches).where(batches.c.batch == batch.number).values(published=True))

    def log(self) -> pl.DataFrame:
        """All events (EVENTS, but `at` as a time) that don't wait, by their ids, published or not: what `read_events` makes of
        all batches, once there are no more to publish.
        """
        from sqlalchemy import select

        events = schema.tables()[0]
        _, whole = queries.whole()
        with self._reading() as db:
            asked = select(*queries.columns(events)).where(events.c.event_id.in_(whole))
            return timed(queries.frame(db, asked).sort("event_id"))

    def status(self) -> Status:
        """How many events of which kind there are, and how far they are."""
        from sqlalchemy import func, select

        events, batches, _ = schema.tables()
        e, whole = queries.whole()
        with self._reading() as db:
            kinds = dict(db.execute(select(events.c.kind, func.count()).group_by(events.c.kind)).tuples().all())
            n_new = db.scalar(select(func.count()).select_from(whole.where(e.c.batch.is_(None)).subquery()))
            n_unclaimed = db.scalar(select(func.count()).where(events.c.batch.is_(None)))
            sums = select(batches.c.published, func.count(), func.sum(batches.c.n_events)).group_by(batches.c.published)
            far = {published: (n, total) for published, n, total in db.execute(sums)}
        order = {kind: kinds[kind] for kind in EVENTS.fields["kind"].choices if kind in kinds}
        published, claimed = far.get(True, (0, 0)), far.get(False, (0, 0))
        return Status(order, n_new, n_unclaimed - n_new, claimed[1], published[1], published[0] + claimed[0])

    @cached_property
    def _opened(self):
        return schema.connect(self.url, create=False)

    @contextmanager
    def _reading(self) -> Iterator:
        with schema.explained(self.url), self._opened.connect() as db:
            yield db

    @contextmanager
    def _writing(self, create: bool = False) -> Iterator:
        """A transaction. Its first statement writes or locks: SQLite waits for other writers then, and later gives up."""
        if create and "_opened" not in self.__dict__:
            self._opened = schema.connect(self.url, create=True)
        with schema.explained(self.url), self._opened.begin() as db:
            yield db


def open_store(url: str | None = None) -> Store:
    """The store at `url` (of SQLAlchemy: sqlite:///feedback.sqlite, postgresql://user:password@host/name).

    Without one, at the URL in the environment variable MEMOZY_FEEDBACK; without that, at DEFAULT.
    """
    return Store(url or os.environ.get(schema.PLACE) or DEFAULT)

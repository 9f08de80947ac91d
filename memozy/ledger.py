"""One ledger for every call of every stage of a run: what was asked, what it may cost, what it cost, what was answered.

A call is reserved at its worst case before it is made and settled from what the endpoint reports. What was answered
is known from then on and is never paid for again, so a killed stage simply makes the same calls once more. The ledger
is a database that several processes may use at once: SQLite by default, PostgreSQL by its URL.

Of every call, and of all together, `reserved_usd` is what it may still come to, `cost_usd` what it came to, and
`lost_usd` the worst case of attempts whose end nobody knows (a time-out, a dropped connection, a killed process): they
may have been billed, so they count as spent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from memozy.records import InputError

VERSION = 1
IN_MEMORY = "sqlite://"
BATCH = 500  # keys asked for in one query
ROUNDING = 1e-9  # US dollars by which sums of floats may differ


@dataclass(frozen=True)
class Answer:
    """What an endpoint or a model in this process said, and the tokens it counted."""

    text: str
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Total:
    """Sums over calls. calls: those with an answer. spent_usd: settled and lost, what counts against a budget."""

    calls: int
    settled_usd: float
    lost_usd: float
    reserved_usd: float
    input_tokens: int
    output_tokens: int

    @property
    def spent_usd(self) -> float:
        return self.settled_usd + self.lost_usd


class Ledger:
    """The calls of one stage in the ledger at `url`. Nothing is opened before the first use.

    budget_usd: what the stage's settings allow the whole run, all stages together; of this and a call's own budget the
    smaller one holds.
    A ledger may be shared by threads. Raises InputError where it was written by another version.
    """

    def __init__(self, url: str, stage: str, budget_usd: float | None = None) -> None:
        self.url, self.stage, self.budget_usd = url, stage, budget_usd
        self._lock = threading.RLock()
        self._flying: dict[str, float] = {}  # this process's calls under way: what each has reserved

    def known(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers there are already, by key."""
        with self._lock, self._engine.connect() as db:
            return _known(db, keys)

    def reserve(self, key: str, *, model: str, worst_usd: float, budget_usd: float | None,
                idempotent: bool = False) -> bool:  # fmt: skip
        """Set `worst_usd` aside for one attempt at a call; False where it fits only when others of this process end.

        What an earlier attempt left reserved was cut off by a kill: it may have been billed, and is lost. Where the
        endpoint bills a repeated call once (`idempotent`), what is lost of this call covers the attempt already.
        Raises InputError where spent + reserved + worst case would pass the budget.
        """
        from sqlalchemy import insert, select, update

        calls, book = _tables()
        limit = min((b for b in (budget_usd, self.budget_usd) if b is not None), default=None)
        with self._writing() as db:
            row = db.execute(select(calls.c.lost_usd, calls.c.reserved_usd).where(calls.c.key == key)).one_or_none()
            lost = sum(row) if row else 0.0
            needed = max(worst_usd - lost, 0.0) if idempotent else worst_usd
            committed = db.scalar(select(book.c.committed_usd))
            if needed > 0 and (limit is None or committed + needed > limit + ROUNDING):
                if limit is None or committed - sum(self._flying.values()) + needed > limit + ROUNDING:
                    raise self._refusal(db, needed, limit)
                return False
            values = {"state": "asked", "reserved_usd": needed, "lost_usd": lost, "asked_at": _now()}
            if row:
                db.execute(update(calls).where(calls.c.key == key).values(values))
            else:
                db.execute(insert(calls).values(key=key, stage=self.stage, model=model, **values))
            db.execute(update(book).values(committed_usd=book.c.committed_usd + needed))
            self._flying[key] = needed
        return True

    def settle(self, key: str, answer: Answer, idempotent: bool = False) -> None:
        """The attempt was answered. idempotent: so none of the earlier ones was billed beside it."""
        told = {"answer": answer.text, "input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
        if idempotent:
            self._end(key, "answered", lambda row: (answer.cost_usd, 0.0), **told)
        else:
            self._end(key, "answered", lambda row: (row.cost_usd + answer.cost_usd, row.lost_usd), **told)

    def lose(self, key: str) -> None:
        """Nobody knows how the attempt ended: it counts as spent, at its worst case."""
        self._end(key, "lost", lambda row: (row.cost_usd, row.lost_usd + row.reserved_usd))

    def release(self, key: str) -> None:
        """The attempt was refused, which costs nothing."""
        self._end(key, "refused", lambda row: (row.cost_usd, row.lost_usd))

    def keep(self, model: str, answers: Mapping[str, Answer]) -> None:
        """Write down what a model answered for nothing, by key: all of it or none."""
        from sqlalchemy import insert

        calls, _ = _tables()
        now, free = _now(), {"reserved_usd": 0.0, "cost_usd": 0.0, "lost_usd": 0.0}
        with self._writing() as db:
            there = _known(db, list(answers))  # by another process, meanwhile
            rows = [{"key": key, "stage": self.stage, "model": model, "state": "answered", "answer": answer.text,
                     "input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens, **free,
                     "asked_at": now, "settled_at": now}
                    for key, answer in answers.items() if key not in there]  # fmt: skip
            if rows:
                db.execute(insert(calls), rows)

    def total(self, stage: str | None = None) -> Total:
        """The sums over all stages' calls, or over those of one."""
        from sqlalchemy import select

        calls, _ = _tables()
        asked = select(*_sums(calls))
        with self._lock, self._engine.connect() as db:
            return Total(*db.execute(asked if stage is None else asked.where(calls.c.stage == stage)).one())

    def by_stage_and_model(self) -> list[dict[str, Any]]:
        """One row for each stage and model, in this order: `stage`, `model` and the fields of Total."""
        from sqlalchemy import select

        calls, _ = _tables()
        who = (calls.c.stage, calls.c.model)
        with self._lock, self._engine.connect() as db:
            return [
                dict(row) for row in db.execute(select(*who, *_sums(calls)).group_by(*who).order_by(*who)).mappings()
            ]

    @property
    def exists(self) -> bool:
        """False where no call was ever made, and so no file."""
        _, sqlite, path = self.url.partition("sqlite:///")
        return "_engine" in self.__dict__ or not sqlite or Path(path).exists()

    def __enter__(self) -> Ledger:
        global _current
        self._before, _current = _current, self
        return self

    def __exit__(self, *_: object) -> None:
        global _current
        _current = self._before
        if "_engine" in self.__dict__:
            self._engine.dispose()
            del self._engine  # the next use opens it again

    @cached_property
    def _engine(self):
        from sqlalchemy import create_engine, event, select
        from sqlalchemy.pool import StaticPool

        if self.url == IN_MEMORY:
            engine = create_engine(self.url, poolclass=StaticPool, connect_args={"check_same_thread": False})
        elif self.url.startswith("sqlite:"):
            engine = create_engine(self.url, connect_args={"timeout": 60})

            @event.listens_for(engine, "connect")
            def _(connection, record) -> None:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")  # a killed process loses nothing; a power cut could
        else:
            engine = create_engine(self.url)
        _prepare(engine)
        with engine.connect() as db:
            versions = set(db.scalars(select(_tables()[1].c.version)))
        if versions != {VERSION}:
            raise InputError(f"was written by version {min(versions)} of the ledger, this is {VERSION}",
                             field="MEMOZY_LEDGER", remedy="Start a run of another name")  # fmt: skip
        return engine

    @contextmanager
    def _writing(self) -> Iterator:
        """A transaction that no other process's can cross: to touch the book's one row takes the lock of any database."""
        from sqlalchemy import update

        with self._lock, self._engine.begin() as db:
            db.execute(update(_tables()[1]).values(version=VERSION))
            yield db

    def _end(self, key: str, state: str, money: Callable[[Any], tuple[float, float]], **told: Any) -> None:
        """Close an attempt. money: from the call's row, what it has cost and lost now."""
        from sqlalchemy import select, update

        calls, book = _tables()
        amounts = calls.c.cost_usd, calls.c.lost_usd, calls.c.reserved_usd
        with self._writing() as db:
            row = db.execute(select(*amounts).where(calls.c.key == key)).one()
            cost, lost = money(row)
            values = {"state": state, "cost_usd": cost, "lost_usd": lost, "reserved_usd": 0.0, "settled_at": _now()}
            db.execute(update(calls).where(calls.c.key == key).values(values | told))
            db.execute(update(book).values(committed_usd=book.c.committed_usd + (cost + lost - sum(row))))
            self._flying.pop(key, None)

    def _refusal(self, db, needed: float, limit: float | None) -> InputError:
        from sqlalchemy import select

        so_far = Total(*db.execute(select(*_sums(_tables()[0]))).one())
        return InputError(f"the next call may cost ${needed:.4f}, and of the budget ${so_far.spent_usd:.4f} are spent and "
                          f"${so_far.reserved_usd:.4f} reserved for calls under way", field="llm.budget_usd", value=limit,
                          remedy="Raise it and run again: nothing is paid twice")  # fmt: skip


@cache
def _tables():
    """The calls, and the book of one row: its version and what all calls have cost, lost and reserved together."""
    from sqlalchemy import Column, Double, Integer, MetaData, String, Table, Text

    data = MetaData()
    usd, tokens = ({"type_": kind, "nullable": False, "default": 0} for kind in (Double, Integer))
    calls = Table(
        "calls", data,
        Column("key", String(64), primary_key=True),  # SHA-256 of all that decides the answer
        Column("stage", Text, nullable=False), Column("model", Text, nullable=False),
        Column("state", Text, nullable=False),  # asked, answered, refused or lost: how the last attempt ended
        Column("reserved_usd", **usd), Column("cost_usd", **usd), Column("lost_usd", **usd),
        Column("input_tokens", **tokens), Column("output_tokens", **tokens), Column("answer", Text),
        Column("asked_at", Text, nullable=False), Column("settled_at", Text),  # ISO 8601, UTC
    )  # fmt: skip
    book = Table("book", data, Column("version", Integer, primary_key=True), Column("committed_usd", **usd))
    return calls, book


def _prepare(engine) -> None:
    """Make the tables where they are not there yet; of several processes that do so at once, one comes first."""
    from sqlalchemy import insert, select
    from sqlalchemy.exc import DBAPIError

    _, book = _tables()
    for last in (False, False, True):
        try:
            book.metadata.create_all(engine)
            with engine.begin() as db:
                if db.execute(select(book)).first() is None:
                    db.execute(insert(book).values(version=VERSION))
            return
        except DBAPIError:
            if last:
                raise


def _known(db, keys: Sequence[str]) -> dict[str, Answer]:
    from sqlalchemy import select

    calls, _ = _tables()
    asked = select(calls.c.key, calls.c.answer, calls.c.cost_usd, calls.c.input_tokens, calls.c.output_tokens)
    found = {}
    for start in range(0, len(keys), BATCH):
        some = calls.c.key.in_(keys[start : start + BATCH])
        for key, *answer in db.execute(asked.where(some, calls.c.answer.is_not(None))):
            found[key] = Answer(*answer)
    return found


def _sums(calls) -> list:
    """The columns of a Total."""
    from sqlalchemy import func

    summed = {"settled_usd": calls.c.cost_usd, "lost_usd": calls.c.lost_usd, "reserved_usd": calls.c.reserved_usd,
              "input_tokens": calls.c.input_tokens, "output_tokens": calls.c.output_tokens}  # fmt: skip
    sums = [func.coalesce(func.sum(column), 0).label(name) for name, column in summed.items()]
    return [func.count(calls.c.answer).label("calls"), *sums]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def open_ledger(url: str, stage: str = "", budget_usd: float | None = None) -> Ledger:
    """The ledger at `url` (of SQLAlchemy: sqlite:///file.sqlite, postgresql://host/name), where `stage` writes its calls.

    `with open_ledger(…)` makes it the current one, for all threads of this process.
    """
    return Ledger(url, stage, budget_usd)


def current() -> Ledger:
    """The ledger of the stage that is running in this process; outside of any stage one in memory."""
    return _current


_current = open_ledger(IN_MEMORY)

"""What it costs to take events into the feedback store and to publish them.

    python -m benchmarks.feedback_store [--events 100000]

Half showings, half reactions to them, told once and then again, published and read back, on SQLite and on a PostgreSQL
started for it. Peer: the same rows put into a bare table by the driver's `executemany`, in one transaction, unchecked.
Seconds are CPU seconds of this process; those that PostgreSQL's own processes spend are in `wall` alone.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from memozy.feedback import open_store, publish, read_events
from memozy.records import EVENTS
from tests.postgres import new_database

DRAFT = "오늘은 바다에 갔다. 파도가 잔잔했고 바람이 좋았다. 친구와 오래 걸었다. "
COLUMNS = ", ".join(f"{name} {'DOUBLE PRECISION' if name == 'propensity' else 'TEXT'}" for name in EVENTS.fields)


def events(n: int) -> pl.DataFrame:
    kinds = EVENTS.fields["kind"].choices[1:]
    at = "2025-03-01T09:30:00Z"
    shown = [{"event_id": f"s{i}", "shown_id": f"s{i}", "kind": "shown", "prompt_id": "A", "propensity": 0.5, "draft": f"{DRAFT}{i}", "at": at}
             for i in range(n // 2)]  # fmt: skip
    said = [{"event_id": f"r{i}", "shown_id": f"s{i}", "kind": kinds[i % 4], "final": f"{i}" if kinds[i % 4] == "edit" else None, "at": at}
            for i in range(n - n // 2)]  # fmt: skip
    return pl.DataFrame([*shown, *said], schema=EVENTS.dtypes)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.monotonic()
    work()
    return round(time.process_time() - cpu, 2), round(time.monotonic() - wall, 2)


def plainly(url: str, rows: list[tuple]) -> None:
    import sqlite3

    import psycopg

    lite = url.startswith("sqlite:///")
    with sqlite3.connect(url.removeprefix("sqlite:///")) if lite else psycopg.connect(url) as db:
        cursor = db.cursor()
        cursor.execute(f"CREATE TABLE plain ({COLUMNS}, PRIMARY KEY (event_id))")
        cursor.executemany(
            f"INSERT INTO plain VALUES ({', '.join(['?' if lite else '%s'] * len(EVENTS.fields))})", rows
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    told, names = events(parser.parse_args().events), set()
    with tempfile.TemporaryDirectory() as folder:
        for database, url in (("sqlite", f"sqlite:///{folder}/f.sqlite"), ("postgresql", new_database())):
            rows, batches = told.rows(), Path(folder) / database
            plain, _ = timed(lambda url=url, rows=rows: plainly(url, rows))
            with open_store(url) as store:
                added, wall = timed(lambda store=store: store.add(told))
                again, _ = timed(lambda store=store: store.add(told))
            published, _ = timed(lambda url=url, batches=batches: publish(batches, url))
            read, _ = timed(lambda batches=batches: read_events(batches))
            names.add(tuple(sorted(path.name for path in batches.iterdir())))
            print(json.dumps({"name": "feedback_store", "database": database, "events": told.height, "unit": "CPU s",
                              "peer": "executemany into a bare table, unchecked", "ours": added, "theirs": plain, "wall": wall,
                              "told_again": again, "published": published, "read": read, "same_bytes": len(names) == 1}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

"""kill -9 of writers and publishers of the feedback store, at random: every event in exactly one published batch.

    python -m drills.kill_feedback [--events 20000] [--kills 100]

8 processes record the events of an app (showings, and reactions that may come before their showing) and 4 publish what is
new into one folder, all at once, on SQLite and on a real PostgreSQL. Again and again one of the twelve is killed and started
anew; a writer begins with its first event again. While this goes on, the folder must hold a whole log at any time. At the end
every event is in exactly one batch, and the same events published in one go have the same bytes from both databases.
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import polars as pl

from memozy.feedback import open_store, publish, read_events
from memozy.records import EVENTS
from tests.postgres import new_database

WRITERS, CLAIMERS = 8, 4
TOGETHER = 8  # events a writer records in one go
DEADLINE = 600  # seconds
PROCESSES = multiprocessing.get_context("forkserver")  # a fork of a process with threads could wait for ever


def told(writer: int, n: int) -> list[dict]:
    """The `n` events of a writer, in the order it tells them."""
    rng = random.Random(writer)
    showings = [f"{rng.getrandbits(64):016x}" for _ in range(n // 2)]
    events = [{"event_id": s, "shown_id": s, "kind": "shown", "prompt_id": "AB"[i % 2], "propensity": 0.5, "draft": f"오늘 {s}"}
              for i, s in enumerate(showings)]  # fmt: skip
    events += [{"event_id": f"{rng.getrandbits(64):016x}", "shown_id": rng.choice(showings), "kind": kind, "at": f"2025-03-01T09:30:{i % 60:02d}Z",
                "final": f"내일 {i}" if kind == "edit" else None}
               for i, kind in enumerate(rng.choices(EVENTS.fields["kind"].choices[1:], k=n - n // 2))]  # fmt: skip
    rng.shuffle(events)
    return events


def frame(events: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=EVENTS.dtypes)


def write(url: str, writer: int, n: int) -> None:
    events = told(writer, n)
    with open_store(url) as store:
        for start in range(0, n, TOGETHER):
            store.add(frame(events[start : start + TOGETHER]))


def claim(url: str, folder: Path) -> None:
    while True:
        publish(folder, url)


def drill(url: str, folder: Path, n_events: int, kills: int, seed: int = 0) -> dict:
    """Writers and publishers with `kills` kills. Raises AssertionError where an event is lost or published twice."""
    PROCESSES.set_forkserver_preload(
        ["drills.kill_feedback", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql", "psycopg"]
    )
    share, rng, killed, looks = n_events // WRITERS, random.Random(seed), Counter(), 0
    everything = [event for writer in range(WRITERS) for event in told(writer, share)]
    with open_store(url) as store:
        store.add(frame(everything[:1]))
    jobs = [(write, (url, writer, share)) for writer in range(WRITERS)] + [(claim, (url, folder))] * CLAIMERS

    def start(job: int):
        target, arguments = jobs[job]
        process = PROCESSES.Process(target=target, args=arguments, daemon=True)
        process.start()
        return process

    running = [start(job) for job in range(len(jobs))]
    ends = time.monotonic() + DEADLINE
    try:
        while any(p.is_alive() for p in running[:WRITERS]) or killed.total() < kills:
            assert time.monotonic() < ends, "no end in sight"
            time.sleep(rng.uniform(0, 0.05))
            if killed.total() < kills:
                job = rng.choice([job for job, process in enumerate(running) if process.is_alive()])
                running[job].kill()
                running[job].join()
                running[job] = start(job)
                killed["writers" if job < WRITERS else "claimers"] += 1
            if killed.total() % 10 == 0 and folder.is_dir():
                read_events(folder)  # raises where it is no whole log
                looks += 1
            assert not any(p.exitcode not in (None, 0) for p in running), "a process failed"
    finally:
        for process in running:
            process.kill()
            process.join()
    publish(folder, url)
    with open_store(url) as store:
        batches, status = store.batches(), store.status()
    files = {path.stem: pl.read_parquet(path) for path in folder.glob("*.parquet")}
    assert {b.sha256 for b in batches} == set(files) and all(b.published for b in batches), (
        "the folder holds other batches than the store"
    )
    found = Counter(event for batch in files.values() for event in batch["event_id"])
    assert set(found) == {event["event_id"] for event in everything}, "an event is lost"
    assert set(found.values()) == {1}, "an event was published twice"
    assert read_events(folder).height == status.n_published == len(everything)
    return {"events": len(everything), "killed_writers": killed["writers"], "killed_claimers": killed["claimers"],
            "batches": len(batches), "looks": looks}  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=100, help="on each database")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="memozy-drill-") as scratch:
        folder, found, once = Path(scratch), {}, set()
        for name, place in (
            ("sqlite", lambda n: f"sqlite:///{folder}/{n}.sqlite"),
            ("postgresql", lambda n: new_database()),
        ):
            found[name] = drill(place("killed"), folder / name, args.events, args.kills)
            url = place("quiet")
            with open_store(url) as store:
                store.add(read_events(folder / name).with_columns(at=pl.col("at").dt.to_string("%Y-%m-%dT%H:%M:%SZ")))
            once.add(tuple(path.name for path in publish(folder / f"{name}-once", url)))
    assert len(once) == 1, "the databases publish other bytes"
    print(json.dumps({"name": "kill_feedback", **found, "same_bytes": True}), flush=True)


if __name__ == "__main__":
    main()

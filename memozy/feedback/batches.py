"""Batches: what the store holds as files, every event in exactly one, the same bytes whoever writes them and how often."""

from __future__ import annotations

import hashlib
import io
import os
import time
from contextlib import suppress
from pathlib import Path

import polars as pl

from memozy.feedback.events import BATCH
from memozy.feedback.store import Batch, Store, open_store
from memozy.records import InputError

STALE = 3_600  # seconds after which a half-written file is a dead process's


def publish(folder: str | Path, url: str | None = None) -> list[Path]:
    """Claim what is new in the store (`open_store(url)`) into batches and write all that `folder` lacks; those written now.

    A batch is Parquet of `records.EVENTS` sorted by event_id, named by the SHA-256 of its bytes. An event is in one batch
    for good, once it is claimed; a process that dies between claim and file leaves the batch to the next one, and a folder
    that lost a batch, or never had it, gets it again. Raises InputError as the store does, and where the bytes of an old
    batch can't be made again, and where the folder can't be written.
    """
    folder = Path(folder)
    try:
        with open_store(url) as store:
            while store.claim():
                pass
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            lacking = [b for b in store.batches() if not (b.published and (folder / f"{b.sha256}{BATCH}").is_file())]
            return [_write(store, batch, folder) for batch in lacking]  # in order: a showing before its reactions
    except OSError as error:
        raise InputError(f"can't be written ({error.strerror})", file=folder, remedy="Name a folder that you may write to, "
                         "with room, and publish again: nothing is lost") from None  # fmt: skip


def _write(store: Store, batch: Batch, folder: Path) -> Path:
    content = encode(store.events(batch))
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"{digest}{BATCH}"
    pinned = store.pin(batch, digest)
    if pinned != digest:
        raise InputError(f"lacks batch {pinned}, whose bytes this version of polars can't make again", file=folder,
                         remedy="Copy it from where it was published")  # fmt: skip
    scratch = folder / f".{digest}.{os.getpid()}.tmp"
    with open(scratch, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
    names = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(names)
    finally:
        os.close(names)
    store.mark(batch)
    return path


def _sweep(folder: Path) -> None:
    """Remove what dead publishers left half-written."""
    for left in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):  # it was a living one's, and is whole by now
            if time.time() - left.stat().st_mtime > STALE:
                left.unlink()


def encode(events: pl.DataFrame) -> bytes:
    """Parquet of the events, the same bytes for the same rows: sorted, in one row group, without statistics."""
    buffer = io.BytesIO()
    events.sort("event_id").rechunk().write_parquet(
        buffer, compression="zstd", compression_level=3, statistics=False, row_group_size=max(events.height, 1)
    )
    return buffer.getvalue()

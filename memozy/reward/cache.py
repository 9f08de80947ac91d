"""Scores that were computed before: one row for each (model, text), in memory or in a file."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

BATCH = 500  # texts asked for in one query; SQLite takes 999 values


class ScoreCache:
    """Rows of numbers by model hash and text. Texts are kept as SHA-256 only.

    A file may be shared by processes, and an object by threads: each reads and writes whole rows. Without a file the
    rows live as long as the object does.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._db = sqlite3.connect(file or ":memory:", timeout=60, isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        if file:
            self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS scores (model TEXT, text BLOB, row BLOB, PRIMARY KEY (model, text)) WITHOUT ROWID"
        )

    def read(self, model: str, texts: Sequence[str]) -> dict[int, np.ndarray]:
        """The rows that are known, by position in `texts`."""
        keys = [_key(t) for t in texts]
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            marks = ",".join("?" * len(some))
            with closing(self._db.execute(f"SELECT text, row FROM scores WHERE model = ? AND text IN ({marks})",
                                          [model, *some])) as rows:  # fmt: skip
                found.update(rows.fetchall())
        return {i: np.frombuffer(found[k]) for i, k in enumerate(keys) if k in found}

    def write(self, model: str, texts: Sequence[str], rows: np.ndarray) -> None:
        """Keep `rows` (n, k), float64, for `texts`."""
        values = [(model, _key(t), np.ascontiguousarray(r, float).tobytes()) for t, r in zip(texts, rows, strict=True)]
        with self._lock, self._db:  # the connection commits, or takes back what an error cut short
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", values)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

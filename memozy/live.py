"""A stage's curves in MLflow while it runs: for stages so long that one wants to see where they are going."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from memozy import tracking


class Live:
    """Rows of curves on their way to the store. Opened by `live`.

    A thread sends what has come in, every `EVERY` seconds: the stage neither waits for the store nor fails with it.
    What could not be sent is sent the next time, by `tracking.log_stage` at the latest.
    """

    EVERY = 3.0

    def __init__(self, stage: str, cell: Path) -> None:
        self._stage, self._cell = stage, cell
        self._rows: list[Mapping[str, float]] = []
        self._sent = 0
        self._doubtful = True  # at first: a killed attempt may have sent some of them
        self._down = False
        self._status, self._closed = "RUNNING", threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def log(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Rows: numbers by name, and their `step`. A number that the run has already is not sent again."""
        self._rows += rows

    def close(self, status: str) -> None:
        """Send what is left, as far as that takes no more than ten seconds."""
        self._status = status
        self._closed.set()
        self._thread.join(timeout=10)

    def _work(self) -> None:
        self._send()
        while not self._closed.wait(self.EVERY):
            self._send()
        self._send()

    def _send(self) -> None:
        rows = self._rows[self._sent :]
        try:
            run_id = tracking.live_run(self._stage, self._cell)
            tracking.log_curves(run_id, rows, self._doubtful)
            self._sent, self._doubtful, self._down = self._sent + len(rows), self._doubtful and not rows, False
            if self._status != "RUNNING":
                tracking.end_run(run_id, self._status)
        except Exception as error:  # any of the stores' and networks' own errors
            if not self._down:
                print(f"… {self._stage}: MLflow does not take its curves ({type(error).__name__})", flush=True)
            self._doubtful = self._down = True


@contextmanager
def live(stage: str, work: Path) -> Iterator[Live | None]:
    """While open, the stage's curves can be logged as they grow; None where MLFLOW_TRACKING_URI is unset.

    work: the stage's Work folder. An attempt that goes on from a killed one goes on in its run.
    """
    if "MLFLOW_TRACKING_URI" not in os.environ:
        yield None
        return
    import mlflow  # noqa: F401 - here, and not in two threads at once

    curves, status = Live(stage, work.parent), "FAILED"
    try:
        yield curves
        status = "RUNNING"  # until `log_stage`
    finally:
        curves.close(status)

"""A page that is served, in this process or in one that can be killed."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from annotation.answers import Answers
from annotation.items import Item
from annotation.server import Server
from annotation.tasks import Rank, Rate


@contextmanager
def serving(items: list[Item], out: Path, mode: str = "rate", double: float = 0.0, **options):
    task = Rate if mode == "rate" else Rank
    answers = Answers(out, task.fault)
    server = Server(task(items, answers, double, 0), mode, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        answers.close()


class Command:
    """`memozy rate` in a process of its own."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "rate", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=Path(__file__).resolve().parents[2], env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self.said = ""
        while not (found := re.search(r"open (http://\S+)", self.said)):
            line = self.process.stdout.readline()
            assert line, self.said
            self.said += line
        self.url = found[1]

    def end(self, how: signal.Signals) -> str:
        self.process.send_signal(how)
        rest = self.process.communicate(timeout=60)[0]
        return self.said + rest

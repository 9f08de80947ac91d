"""What the workers of `ppo_vs_trl` share: the job, the score and the turns. They run in two environments, so this needs
the standard library alone.

A worker trains a policy on one job. Before every update it waits for a line on its standard input, so that whoever
compares two of them can let them go by turns; after it, it prints one line of JSON.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

ANSWER = "<answer>"  # the last word of every prompt


def score(response: str) -> float:
    """How far the response's words, «w» and a number each, are even, in [-1, 1]; 0 where half are, or none was said."""
    even = [int(word[1:]) % 2 == 0 for word in response.split() if word.startswith("w")]
    return 2 * sum(even) / len(even) - 1 if even else 0.0


class Worker:
    """One process's side of the comparison. Whatever libraries print goes to standard error."""

    def __init__(self) -> None:
        self.job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        self.out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def wait(self) -> None:
        """Until the next update is asked for; then time counts."""
        if not sys.stdin.readline():
            sys.exit()
        self.cpu, self.wall = time.process_time(), time.monotonic()

    def done(self, **numbers: float) -> None:
        """Say what an update took: CPU seconds of all the process's threads, wall seconds, its peak memory so far."""
        taken = {
            "cpu": time.process_time() - self.cpu,
            "wall": time.monotonic() - self.wall,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(taken | numbers), file=self.out, flush=True)

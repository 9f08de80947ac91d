"""kill -9 in the middle of an evaluation, again and again: the same decision, and no call paid twice.

    python -m drills.kill_evaluation [--kills 20]

A whole evaluation (an LLM writes, an LLM judges, the simulated panel rates, planned looks) runs in a process of its own
against a loopback endpoint, once undisturbed, and then killed after each of `kills` random numbers of calls, going on
each time from what is left on disk. Both must end in the same pulls and the same decision. An endpoint that honours
Idempotency-Key must have billed every call once, and exactly what the ledger says; one that doesn't may have billed
again what was under way at a kill, which the ledger counts at its worst case.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import yaml

from drills import world
from memozy.ledger import open_ledger
from memozy.records import ARMS, read
from tests.endpoint import Endpoint, serving

CONCURRENCY = 8


def evaluation(folder: Path, arms: dict[str, Path], settings: dict) -> subprocess.Popen:
    """The stage as a process; its run directory is `folder`, where a killed attempt goes on."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    artifacts = arms | {name: folder / "results" / name for name in ("pulls", "decision", "decision_report", "to_rate")}
    flags = [part for name, path in artifacts.items() for part in (f"--{name}", str(path))]
    with open(folder / "log.txt", "a", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "components.evaluate_prompts", "--config", str(folder / "config.yaml"), *flags],
            env=os.environ | {"MEMOZY_RUN_DIR": str(folder), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
            stdout=log, stderr=log,
        )  # fmt: skip


def kill_after(process: subprocess.Popen, endpoint: Endpoint, calls: int, seconds: float) -> bool:
    """kill -9 some `seconds` after the endpoint has had `calls` requests; False where the process had ended before."""
    while process.poll() is None:
        if len(endpoint.requests) >= calls:
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.002)
    return False


def finish(process: subprocess.Popen, folder: Path) -> None:
    if process.wait() != 0:
        sys.exit((folder / "log.txt").read_text(encoding="utf-8")[-3000:])


def drill(kills: int, contexts: int, per_look: int, idempotent: bool, seed: int = 0) -> dict:
    """One evaluation undisturbed and one with kills. Raises AssertionError where they differ, or where money was lost track of."""
    llm = {"backend": "openai", "model": "m", "usd_per_million_input": 1.0, "usd_per_million_output": 2.0, "budget_usd": 100.0,
           "concurrency": CONCURRENCY, "idempotent": idempotent}  # fmt: skip
    settings = {"n_contexts": contexts, "scorer": "judge", "examples_per_level": 0, "ratings": "simulated", "looks": 2, "llm": llm,
                "judge": llm | {"temperature": 0.01}, "pulls_per_look": per_look, "ratings_per_look": per_look // 2,
                "pulls_at_once": 32}  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        arms = world.inputs(folder)
        answer = world.answers(read(arms["arms"], ARMS), contexts)
        with serving(answer, latency_s=0.02) as quiet:
            finish(evaluation(folder / "quiet", arms, settings), folder / "quiet")
        rng = random.Random(seed)
        points = [0, *sorted(rng.sample(range(2, len(quiet.requests) - 2), kills))]
        with serving(answer, latency_s=0.02, idempotent=idempotent) as endpoint:
            for last, point in pairwise(points):  # asked for again, calls count again: there are always enough of them
                due = len(endpoint.requests) + point - last
                assert kill_after(evaluation(folder / "killed", arms, settings), endpoint, due, rng.uniform(0, 0.05))
            finish(evaluation(folder / "killed", arms, settings), folder / "killed")
        results = [folder / name / "results" for name in ("quiet", "killed")]
        assert len({(r / "pulls").read_bytes() for r in results}) == 1, "the pulls differ"
        whole, again = (json.loads((r / "decision").read_text(encoding="utf-8")) for r in results)
        assert without_books(whole) == without_books(again), "the decisions differ"
        with open_ledger(f"sqlite:///{folder}/killed/ledger.sqlite") as ledger:
            total = ledger.total()
        twice = sum(n - 1 for n in endpoint.billed.values())
        if idempotent:
            assert twice == 0 and abs(total.spent_usd - endpoint.usd) < 1e-9, (twice, total, endpoint.usd)
        assert total.settled_usd - 1e-9 <= endpoint.usd <= total.spent_usd + 1e-9, (total, endpoint.usd)
        assert twice <= kills * CONCURRENCY
        return {"kills": kills, "calls": total.calls, "decision": again["decision"], "paid_twice": twice, "bill_usd": endpoint.usd,
                "settled_usd": total.settled_usd, "lost_usd": total.lost_usd}  # fmt: skip


def without_books(record: dict) -> dict:
    """All of a record but what it cost to get there."""
    return {key: value for key, value in record.items() if key not in ("ledger", "cost_usd")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    for idempotent in (True, False):
        found = drill(kills, contexts=120, per_look=150, idempotent=idempotent)
        print(json.dumps({"name": "kill_evaluation", "idempotent": idempotent, **found}), flush=True)


if __name__ == "__main__":
    main()

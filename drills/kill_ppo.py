"""kill -9 in the middle of a policy's training, again and again: bit for bit the policy of a run that was left alone.

    python -m drills.kill_ppo [--kills 10]

The stage runs in a process of its own, once undisturbed, and then killed at `kills` random moments of random updates,
going on each time from what is left on disk. Both must end in the same adapter, byte for byte, the same curves, but for
seconds, and the same samples. On the CPU in float32, one thread.
"""

import argparse
import json
import multiprocessing
import os
import random
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from drills import ppo_world
from memozy.stages import execute

ATTEMPTS = multiprocessing.get_context("forkserver")  # a fork of a process whose torch has threads may wait for ever
ATTEMPTS.set_forkserver_preload([f"components.train_ppo.{part}" for part in ("stage", "page")])
OUTPUTS = ("policy", "curves", "samples", "ppo_report")


def attempt(folder: str, settings: dict, artifacts: dict[str, str]) -> None:
    """The stage, whose run directory is `folder`; what it says goes to its log."""
    torch.set_num_threads(1)
    log = os.open(f"{folder}/log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["MEMOZY_RUN_DIR"] = folder
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    execute("train_ppo", settings, artifacts, {name: f"{folder}/{name}" for name in OUTPUTS})


def training(folder: Path, settings: dict, artifacts: dict[str, str]) -> BaseProcess:
    folder.mkdir(exist_ok=True)
    process = ATTEMPTS.Process(target=attempt, args=(str(folder), settings, artifacts))
    process.start()
    return process


def updates_done(folder: Path) -> int:
    """How many whole updates the attempt under way has on disk."""
    files = list(folder.glob("stages/**/state.json"))
    return json.loads(files[0].read_text(encoding="utf-8"))["update"] if files else -1


def kill_in(process: BaseProcess, folder: Path, update: int, seconds: float) -> bool:
    """kill -9 some `seconds` after `update` has begun; False where the process had ended before."""
    while process.is_alive() and updates_done(folder) < update:
        time.sleep(0.005)
    time.sleep(seconds)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def finish(process: BaseProcess, folder: Path) -> None:
    process.join()
    assert process.exitcode == 0, (folder / "log.txt").read_text(encoding="utf-8")[-3000:]


def result(folder: Path) -> dict:
    """All that an undisturbed run and a killed one have to agree on."""
    rows = [json.loads(line) for line in (folder / "curves").read_text(encoding="utf-8").splitlines()]
    timed = ("seconds/", "tokens_per_second/")
    return {
        "adapter": (folder / "policy/adapter/adapter_model.safetensors").read_bytes(),
        "curves": [{name: value for name, value in row.items() if not name.startswith(timed)} for row in rows],
        "samples": (folder / "samples").read_bytes(),
    }


def drill(kills: int, updates: int, rollouts: int, seed: int = 0) -> dict:
    """One training undisturbed and one with kills. Raises AssertionError where they differ."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        artifacts = {"start": str(ppo_world.start(folder / "start"))}
        for name, rows in (("reward", 60), ("gold", 40)):
            model = ppo_world.gold_model(ppo_world.rated(rows, seed=rows), folder / "work")
            model.save(folder / name)
            (folder / name / "card.json").write_text(json.dumps({
                "spearman": [0.5, 0.4, 0.6], "usable": True, "rows": rows, "groups": rows, "unseen_rows": 0,
                "model_hash": ""}), encoding="utf-8")  # fmt: skip
            artifacts[name] = str(folder / name)
        settings = {"environment": {"task": "response/diary"}, "updates": updates, "rollouts": rollouts, "epochs": 2,
                    "max_new_tokens": 64, "learning_rate": 2e-3, "compared": 4, "kl_limit": 1e9, "seed": seed}  # fmt: skip
        quiet, killed = folder / "quiet", folder / "killed"
        finish(training(quiet, settings, artifacts), quiet)
        whole = result(quiet)
        seconds = [sum(v for k, v in json.loads(line).items() if k.startswith("seconds/"))
                   for line in (quiet / "curves").read_text(encoding="utf-8").splitlines()]  # fmt: skip
        hit = 0
        for update in sorted(rng.choices(range(updates), k=kills)):
            hit += kill_in(
                training(killed, settings, artifacts), killed, update, rng.uniform(0, sum(seconds) / updates)
            )
        finish(training(killed, settings, artifacts), killed)
        again = result(killed)
        for what, value in whole.items():
            assert again[what] == value, f"the {what} differ"
        assert hit == kills, "a process had ended before it was killed"
        kept = next(row["step"] for row in whole["curves"] if row.get("kept"))
        return {"kills": hit, "updates": updates, "kept_update": kept, "identical_bytes": len(again["adapter"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    found = drill(parser.parse_args().kills, updates=12, rollouts=24)
    print(json.dumps({"name": "kill_ppo", **found}), flush=True)


if __name__ == "__main__":
    main()

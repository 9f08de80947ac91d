"""What running the stages as a pipeline costs beside the stages' own work.

    python -m benchmarks.orchestration [CONFIG]

Runs `optimize_prompt` from nothing in a temporary folder (default: configs/demo.yaml) and compares its
wall time with the sum of the stages' own; then runs it again, where every stage is kept and all that is
left is orchestration.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def timed_run(config: Path, folder: Path) -> float:
    """Wall seconds of one `memozy run`, start-up and closing included."""
    command = [sys.executable, "-m", "pipelines.cli", "run", "optimize_prompt",
               "--config", str(config), "--name", "bench"]  # fmt: skip
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {"PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?", default=ROOT / "configs/demo.yaml")
    config = parser.parse_args().config.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").symlink_to(ROOT / "data")
        first = timed_run(config, folder)
        stages = [json.loads(p.read_text()) for p in folder.glob("runs/bench/stages/*-*/done.json")]
        again = timed_run(config, folder)
    own = sum(stage["seconds"] for stage in stages)
    for stage in sorted(stages, key=lambda s: s["finished"]):
        print(f"  {stage['stage']:<18} {stage['seconds']:7.1f} s")
    print(f"  {'the stages alone':<18} {own:7.1f} s")
    print(f"  {'the pipeline':<18} {first:7.1f} s   {first / own:.3f} ×")
    print(f"  {'all stages kept':<18} {again:7.1f} s   {again / len(stages):.2f} s a stage")
    print(json.dumps({"name": "orchestration", "peer": "the sum of the stages' own work", "ratio": round(first / own, 3),
                      "ours": round(first, 1), "theirs": round(own, 1), "unit": "s", "kept": round(again, 1)}))  # fmt: skip


if __name__ == "__main__":
    main()

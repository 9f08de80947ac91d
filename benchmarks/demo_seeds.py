"""The demo over several seeds: does it adopt, is what it adopts right, did PPO help?

    python -m benchmarks.demo_seeds [--seeds 5]

Every seed is a run of its own in a temporary folder: other sampled diaries, raters' answers, splits,
policies, challengers and truth contexts. Prints a row per seed as it ends, and one line of JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def demo(seed: int, folder: Path) -> dict:
    """Run the demo under one seed in `folder` and read its answers back."""
    (folder / "data").symlink_to(ROOT / "data")
    command = [sys.executable, "-m", "pipelines.cli", "run", "optimize_prompt",
               "--config", str(ROOT / "configs/demo.yaml"), "--set", f"seed={seed}"]  # fmt: skip
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {"PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    wall = time.monotonic() - began
    if done.returncode:
        sys.exit(f"seed {seed} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    stages = folder / "runs/demo/stages"
    decision = json.loads((stages / "evaluate_prompts/out/decision").read_text(encoding="utf-8"))
    truth = json.loads((stages / "reveal_truth/out/truth").read_text(encoding="utf-8"))
    ppo = json.loads((stages / "train_ppo/done.json").read_text(encoding="utf-8"))["result"]["metrics"]
    reward = json.loads((stages / "train_reward/done.json").read_text(encoding="utf-8"))["result"]["metrics"]
    true = {a["prompt_id"]: a["true_mean"] for a in truth["arms"]}
    return {
        "seed": seed, "decision": decision["decision"], "ratings": decision["ratings_used"], "gap": truth["gap"],
        "agrees": truth["agrees"], "true_incumbent": true[decision["incumbent"]], "true_chosen": true[decision["prompt_id"]],
        "ppo_sft": truth["policy"]["sft_mean"], "ppo": truth["policy"]["ppo_mean"], "ppo_sigmas": truth["policy"]["sigmas"],
        "kl": ppo["kl_kept"], "kl_target": ppo["kl_target"], "reward_mse": reward["test_mse"],
        "constant_mse": reward["constant_test_mse"], "wall": wall,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_seeds", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    rows = []
    print(f"{'seed':>4}  {'decision':<10}{'ratings':>8}{'A true':>8}{'chosen':>8}{'gap':>7}  "
          f"{'PPO: true mean':<17}{'sigmas':>7}{'KL':>6}{'target':>7}  {'reward MSE (constant)':<22}{'wall s':>7}")  # fmt: skip
    for seed in range(parser.parse_args().seeds):
        with tempfile.TemporaryDirectory() as folder:
            row = demo(seed, Path(folder))
        rows.append(row)
        print(f"{seed:>4}  {row['decision']:<10}{row['ratings']:>8}{row['true_incumbent']:>8.2f}{row['true_chosen']:>8.2f}"
              f"{row['gap']:>7.3f}  {row['ppo_sft']:+.2f} → {row['ppo']:+.2f}    {row['ppo_sigmas']:>7.1f}{row['kl']:>6.1f}"
              f"{row['kl_target']:>7.1f}  {row['reward_mse']:.3f} ({row['constant_mse']:.3f})         "
              f"{row['wall']:>7.0f}", flush=True)  # fmt: skip
    adopted = [r for r in rows if r["decision"] == "adopt"]
    print(json.dumps({
        "name": "demo_seeds", "seeds": len(rows), "adopted": len(adopted), "adopted_right": sum(r["agrees"] for r in adopted),
        "ppo_sigmas_min": round(min(r["ppo_sigmas"] for r in rows), 2),
        "kl_over_target_max": round(max(r["kl"] / r["kl_target"] for r in rows), 3),
        "wall_seconds_median": round(statistics.median(r["wall"] for r in rows), 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""Our PPO beside TRL's: CPU seconds an update, peak memory, and the reward that a KL buys.

    python -m benchmarks.ppo_vs_trl [--updates 5] [--curve-updates 24] [--seeds 3]

The peer is `trl.experimental.ppo` of TRL 1.12.0, the last version that has it, in an environment of its own
(.venv-trl, made here where it is missing). The same in both: a Llama of random weights (4 layers, hidden size 256, 2048
tokens), LoRA of rank 8 on every linear layer (at TRL on its value model too), the 32 prompts of every update (TRL
shuffles them), at most 64 new tokens, the score (a function of text), the clipped losses, whitened advantages, a fixed KL
coefficient, 4 epochs of 4 mini-batches, AdamW at a constant rate, float32, one thread. The value loss has each library's
own factor: ours 0.5, on a shared trunk; TRL's 0.1, on a model of its own, where Adam cares for no factor. Three settings:

equal          prompts and responses of 64 tokens each, EOS out of reach
ragged         prompts of 8 to 64 tokens; EOS has a chance of 4 % at each token, so responses have 23 on average
cached ragged  the same for TRL; ours trains only the upper half of the layers, and computes what is below them once

The processes wait for each other: one update each by turns, the first not counted. A ratio is the median over turns of
their CPU seconds (all threads of the process) by ours. Memory is the high-water mark of the process's resident set, with
interpreter and libraries, nothing taken off; `ratio_memory` is ours by theirs in the setting `equal`. Counted in
forward passes over all tokens, a backward counted as one, E epochs cost TRL 2 + 4E (its policy and its value model), us
1 + 2E (values are read while decoding); decoding comes on top of both.

Curves: a small model learns to say even words, with equal settings in both; its responses end long before they would be
cut off, which the two treat differently (TRL ends an episode there, ours values what would have followed). Reward and
KL of every update, the latter measured against the model that training started from, give each run's curve (running
means over WINDOW updates, then isotonic); they are compared at POINTS KLs that all runs reached. The difference is the
mean over those, with its standard error over seeds.

GRPO: whole updates a CPU second against the GRPOTrainer of the project's own TRL, on the ragged setting: equal are
model, adapter, rollouts, lengths at the start, score, optimiser steps (one epoch of one batch each). Not equal: ours
has a value head and a forward for it; GRPO asks each of 8 prompts 4 times where ours asks 32 prompts once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from scipy.optimize import isotonic_regression

from benchmarks.ppo.models import Size

HERE = Path(__file__).parent
ROOT = HERE.parent
PEER = ROOT / ".venv-trl"
LARGE = {"hidden": 256, "layers": 4, "words": 2044}
SMALL = {"hidden": 64, "layers": 2, "words": 60, "eos_chance": 0.12}
JOB = {
    "seed": 0, "rollouts": 32, "response_length": 64, "epochs": 4, "mini_batches": 4, "rank": 8, "learning_rate": 3e-4,
    "kl_coef": 0.05, "clip": 0.2, "value_clip": 0.2, "lam": 0.95,
}  # fmt: skip
CURVE = {"rollouts": 128, "response_length": 64, "learning_rate": 1e-3, "kl_coef": 0.02}
WINDOW = 5  # updates that a point of a curve is the mean of
POINTS = 5  # KLs at which curves are compared

Turn = dict[str, float]


def peer_python() -> Path:
    """The interpreter of TRL 1.12.0's environment, which is made where there is none."""
    python = PEER / "bin" / "python"
    if not (PEER / ".installed").exists():
        print(f"making {PEER.name} with TRL 1.12.0", flush=True)
        venv.create(PEER, with_pip=True)
        pins = [row for row in (ROOT / "requirements.lock").read_text().splitlines() if not row.startswith("trl==")]
        (PEER / "constraints.txt").write_text("\n".join(pins) + "\n")
        install = [python, "-m", "pip", "install", "--quiet", "--constraint", PEER / "constraints.txt"]
        subprocess.run([*install, "trl==1.12.0", "peft", "accelerate", "datasets", "torch"], check=True)
        (PEER / ".installed").touch()
    return python


def command(worker: str) -> list[str]:
    return [str(peer_python() if worker == "trl_ppo" else sys.executable), str(HERE / "ppo" / f"{worker}.py")]


class Process:
    """A worker on a job: one update, and its JSON line, for every `turn`."""

    def __init__(self, worker: str, job: dict, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(json.dumps(job | {"folder": str(folder)}))
        self.errors = folder / "errors.txt"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*command(worker), str(folder / "job.json")], text=True, cwd=ROOT, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            )  # fmt: skip

    def turn(self) -> Turn:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended early:\n{self.errors.read_text()[-3000:]}")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)


def by_turns(jobs: dict[str, tuple[str, dict]], updates: int, folder: Path) -> dict[str, list[Turn]]:
    """`updates` turns of each job, after one that warms up; jobs: name -> (worker, job)."""
    processes = {name: Process(worker, job | {"updates": updates + 1}, folder / name)
                 for name, (worker, job) in jobs.items()}  # fmt: skip
    taken = {name: [] for name in jobs}
    for _ in range(updates + 1):
        for name, process in processes.items():
            taken[name].append(process.turn())
    for process in processes.values():
        process.close()
    return {name: turns[1:] for name, turns in taken.items()}


def ratio(theirs: list[Turn], ours: list[Turn]) -> float:
    """Median over turns of their CPU seconds by ours."""
    return round(statistics.median(t["cpu"] / o["cpu"] for t, o in zip(theirs, ours, strict=True)), 2)


def curves(seeds: int, updates: int, folder: Path) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Each side's curves, one for each seed: KL and reward after more and more updates, both [U]."""
    size = Size(**SMALL)
    models = [size.save(folder / f"model-{seed}", seed) for seed in range(seeds)]

    def run(side: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        job = JOB | CURVE | {"model": str(models[seed]), "seed": seed, "updates": updates}
        job["prompts"] = size.prompts(job["rollouts"], 4, 12, seed)
        process = Process(side, job, folder / f"{side}-{seed}")
        turns = [process.turn() for _ in range(updates)]
        process.close()
        smooth = [np.convolve([t[key] for t in turns], np.full(WINDOW, 1 / WINDOW), "valid") for key in ("kl", "score")]
        return isotonic_regression(smooth[0]).x, isotonic_regression(smooth[1]).x

    with ThreadPoolExecutor(2) as pool:  # nothing is timed here
        runs = {(side, seed): pool.submit(run, side, seed) for seed in range(seeds) for side in ("trl_ppo", "ours")}
    return {side: [runs[side, seed].result() for seed in range(seeds)] for side in ("trl_ppo", "ours")}


def at_equal_kl(found: dict[str, list[tuple[np.ndarray, np.ndarray]]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """KLs [P] that all runs reached, and each side's rewards there [seeds, P]."""
    reached = min(kl[-1] for runs in found.values() for kl, _ in runs)
    kls = np.linspace(reached / POINTS, reached, POINTS)
    return kls, {side: np.array([np.interp(kls, kl, reward) for kl, reward in runs]) for side, runs in found.items()}


def draw(found: dict[str, list[tuple[np.ndarray, np.ndarray]]], path: Path) -> None:
    from memozy.reports import style
    from memozy.reports.drawing import BLUE, ORANGE, canvas, legend

    with style():
        figure, axes = canvas(3.0)
        for (side, label), colour in zip({"trl_ppo": "TRL 1.12", "ours": "ours"}.items(), (ORANGE, BLUE), strict=True):
            for i, (kl, reward) in enumerate(found[side]):
                axes.plot(kl, reward, color=colour, alpha=0.8, label=None if i else label)
        axes.set(xlabel="KL from the start, nats a response", ylabel="reward")
        legend(figure, 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=5, help="counted updates of each setting")
    parser.add_argument("--curve-updates", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    peer_python()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        equal, ragged = Size(**LARGE, eos_chance=0.0), Size(**LARGE, eos_chance=0.04)
        n = JOB["rollouts"]
        job = JOB | {"model": str(equal.save(scratch / "equal", 0)), "prompts": equal.prompts(n, 64, 64, 0)}
        taken = {"equal": by_turns({"TRL": ("trl_ppo", job), "ours": ("ours", job)}, args.updates, scratch / "1")}
        job = JOB | {"model": str(ragged.save(scratch / "ragged", 0)), "prompts": ragged.prompts(n, 8, 64, 0)}
        cached = job | {"top_layers": LARGE["layers"] // 2}
        taken["ragged"] = by_turns(
            {"TRL": ("trl_ppo", job), "ours": ("ours", job), "ours, cached": ("ours", cached)},
            args.updates,
            scratch / "2",
        )
        once = job | {"epochs": 1, "mini_batches": 1, "group": 4}
        grpo = by_turns({"TRL GRPO": ("trl_grpo", once), "ours": ("ours", once)}, args.updates, scratch / "3")
        found = curves(args.seeds, args.curve_updates, scratch / "4")

    print(f"\n{'setting':10} {'':14} {'CPU s/update':>13} {'peak MB':>8} {'tokens':>7}   theirs/ours")
    for setting, sides in (taken | {"one epoch": grpo}).items():
        theirs = next(iter(sides.values()))  # the peer is named first
        for side, turns in sides.items():
            length = f"{statistics.mean(t['length'] for t in turns):.1f}" if "length" in turns[0] else "–"
            print(f"{setting:10} {side:14} {statistics.median(t['cpu'] for t in turns):13.2f} "
                  f"{max(t['peak_mb'] for t in turns):8.0f} {length:>7} {ratio(theirs, turns):13.2f}")  # fmt: skip

    kls, rewards = at_equal_kl(found)
    differences = (rewards["ours"] - rewards["trl_ppo"]).mean(axis=1)  # [seeds]
    error = float(differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else float("nan")
    picture = ROOT / "runs" / "benchmarks" / "ppo_vs_trl.png"
    draw(found, picture)
    print(f"\nreward at equal KL, mean and sd over {args.seeds} seeds ({picture.relative_to(ROOT)})")
    print(f"{'KL':>6} {'TRL':>15} {'ours':>15}")
    for i, kl in enumerate(kls):
        cells = [f"{r[:, i].mean():.3f} ± {r[:, i].std():.3f}" for r in (rewards["trl_ppo"], rewards["ours"])]
        print(f"{kl:6.2f} {cells[0]:>15} {cells[1]:>15}")
    print(f"ours - theirs: {differences.mean():+.3f}, standard error {error:.3f}; after {args.curve_updates} updates: " + ", ".join(
        f"{side} {np.mean([r[-1] for _, r in runs]):.2f} at KL {np.mean([k[-1] for k, _ in runs]):.2f}"
        for side, runs in found.items()))  # fmt: skip

    def memory(setting: str, side: str) -> float:
        return max(t["peak_mb"] for t in taken[setting][side])

    def samples(side: str) -> float:
        return round(n / statistics.median(t["cpu"] for t in grpo[side]), 1)

    print(json.dumps({
        "name": "ppo_vs_trl", "peer": "TRL 1.12.0 PPOTrainer", "unit": "CPU seconds per update",
        "ratio_equal": ratio(taken["equal"]["TRL"], taken["equal"]["ours"]),
        "ratio_ragged": ratio(taken["ragged"]["TRL"], taken["ragged"]["ours"]),
        "ratio_cached_ragged": ratio(taken["ragged"]["TRL"], taken["ragged"]["ours, cached"]),
        "ratio_memory": round(memory("equal", "ours") / memory("equal", "TRL"), 2),
        "ratio_memory_ragged": round(memory("ragged", "ours") / memory("ragged", "TRL"), 2),
        "ratio_memory_cached_ragged": round(memory("ragged", "ours, cached") / memory("ragged", "TRL"), 2),
        "reward_difference_at_equal_kl": round(float(differences.mean()), 3), "standard_error": round(error, 3),
        "reward_differences": [round(float(d), 3) for d in differences],
        "grpo_ratio": ratio(grpo["TRL GRPO"], grpo["ours"]),
        "grpo_samples_per_cpu_second": samples("TRL GRPO"), "ours_samples_per_cpu_second": samples("ours"),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

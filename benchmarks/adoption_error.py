"""How often a prompt is adopted wrongly: whole evaluations, simulated (components/evaluate_prompts/simulation.py).

    python -m benchmarks.adoption_error [--repetitions 2000]

A false adoption is an adopted arm that is worse than the best by epsilon or more. An error is that, or an adopted arm
no better than the incumbent, or a kept incumbent worse than the best by epsilon or more; the table says whether an
exact binomial test at the 1 % level refutes «at most 5 % of evaluations end in error». Coverage: of the arms' 95 %
intervals, at the look where one stopped, and of corrected ones at a look fixed beforehand (the second).
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

from components.evaluate_prompts.simulation import simulate
from components.evaluate_prompts.world import Setting

EDGE = Setting("edge: rivals at -eps", (-0.2, 0.5, 0.4, 0.4))
TIES = Setting("incumbent among ties", (0.4, 0.4, 0.4, 0.4))
VERIFIER = replace(EDGE, name="edge, verifier", scorer="verifier", rating_sd=1.0, n_raters=1, per_look=384)
SETTINGS = [
    EDGE,
    replace(EDGE, name="edge, judge against best", bias=(0, -0.1, 0.1, 0.1)),
    replace(EDGE, name="edge, pulls by UCB1", sampler="ucb1"),
    replace(EDGE, name="edge near the top", truth=(0.1, 0.85, 0.75, 0.75)),
    replace(EDGE, name="edge, few ratings", n_contexts=60, per_look=24),
    replace(EDGE, name="edge, many ratings", per_look=300),
    replace(EDGE, name="edge, eps 0.05", truth=(-0.2, 0.5, 0.45, 0.45), epsilon=0.05),
    replace(EDGE, name="edge, human only", scorer="human"),
    replace(EDGE, name="edge, good judge", rho2=0.5),
    replace(EDGE, name="edge, diaries unrelated", shared=0.0),
    replace(EDGE, name="edge, 5 arms", truth=(-0.2, 0.5, 0.4, 0.4, 0.4), per_look=150),
    replace(EDGE, name="edge, 2 arms", truth=(0.5, 0.5), per_look=60),
    TIES,
    replace(TIES, name="ties, judge against incumbent", bias=(-0.1, 0.1, 0.1, 0.1)),
    replace(TIES, name="ties, pulls by UCB1", sampler="ucb1"),
    replace(TIES, name="ties, few ratings", n_contexts=60, per_look=24),
    replace(TIES, name="incumbent and rivals at -eps", truth=(0.4, 0.5, 0.4, 0.4)),
    replace(EDGE, name="edge, rater by diary", raters="cell"),
    replace(EDGE, name="edge, each arm its rater", raters="own"),
    replace(TIES, name="ties, each arm its rater", raters="own"),
    replace(EDGE, name="edge, two raters", n_raters=2),
    replace(TIES, name="ties, two raters, own arms", n_raters=2, raters="own"),
    replace(EDGE, name="edge, 10 % double-rated", double_rated=0.1),
    replace(TIES, name="ties, 10 % double-rated", double_rated=0.1),
    replace(EDGE, name="edge, own raters, double-rated", double_rated=0.1, raters="own"),
    replace(EDGE, name="edge, app feedback", scorer="feedback", per_look=400),
    replace(TIES, name="ties, app feedback", scorer="feedback", per_look=400),
    replace(TIES, name="ties, little app feedback", scorer="feedback", per_look=60),
    replace(EDGE, name="edge, pulls by epsilon-greedy", sampler="epsilon_greedy"),
    replace(EDGE, name="edge, pulls by Thompson", sampler="thompson"),
    replace(EDGE, name="edge, pulls by top-two", sampler="top_two"),
    replace(EDGE, name="edge, pulls by Track-and-Stop", sampler="track_and_stop"),
    replace(TIES, name="ties, pulls by Thompson", sampler="thompson"),
    replace(EDGE, name="edge, 10 % unread", unread=0.1),
    replace(TIES, name="ties, 10 % unread", unread=0.1),
    replace(EDGE, name="edge, 20 % unanswered", unanswered=0.2),
    replace(EDGE, name="edge, human only, 20 % unansw.", scorer="human", unanswered=0.2),
    replace(EDGE, name="edge, all of this at once", sampler="thompson", unread=0.1, unanswered=0.2, double_rated=0.1),
    VERIFIER,
    replace(VERIFIER, name="edge, verifier, near the top", truth=(0.1, 0.85, 0.75, 0.75)),
    replace(VERIFIER, name="ties, verifier", truth=TIES.truth),
]
CHANGING = [  # decides no worse, but after two looks two of the five have rated: an interval is of those who rated
    replace(EDGE, name="edge, a rater for each look", raters="look"),
    replace(TIES, name="ties, a rater for each look", raters="look"),
]
BROKEN = [  # what one must not do, to show what it costs
    replace(EDGE, name="broken: peeking, edge", rule="peeking", n_looks=20, per_look=20),
    replace(TIES, name="broken: peeking, ties", rule="peeking", n_looks=20, per_look=20),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000, help="evaluations a setting (default 2000)")
    repetitions = parser.parse_args().repetitions
    print(f"{repetitions} evaluations a setting; incumbent first; 4 looks, or 20 where one peeks")
    print(f"{'setting':31} {'false':>6} {'error':>6} {'refuted':>8} {'adopt':>6} {'best':>6} {'keep':>6} {'cover':>6} "
          f"{'fixed':>6} {'ratings':>8} {'looks':>6}")  # fmt: skip
    results, settings = {}, [*SETTINGS, *CHANGING, *BROKEN]
    with ProcessPoolExecutor() as pool:
        for s, r in zip(settings, pool.map(partial(simulate, repetitions=repetitions), settings), strict=True):
            results[s.name] = r
            refuted = "yes" if r["p_value"] < 0.01 else "no"
            print(f"{s.name:31} {r['false_adoption']:6.3f} {r['error']:6.3f} {refuted:>8} {r['adopt']:6.3f} "
                  f"{r['adopt_best']:6.3f} {r['keep']:6.3f} {r['covered']:6.3f} {r['covered_fixed']:6.3f} "
                  f"{r['ratings']:8.0f} {r['looks']:6.2f}", flush=True)  # fmt: skip
    kept = [results[s.name] for s in SETTINGS]
    held = [results[s.name] for s in [*SETTINGS, *CHANGING]]
    print(json.dumps({
        "name": "adoption_error",
        "repetitions": repetitions,
        "settings": len(held),
        "false_adoption_max": max(r["false_adoption"] for r in held),
        "error_max": max(r["error"] for r in held),
        "refuted": sum(r["p_value"] < 0.01 for r in held),
        "coverage_min": min(r["covered"] for r in kept),
        "coverage_fixed_min": min(r["covered_fixed"] for r in kept),
        "error_peeking": min(results[s.name]["error"] for s in BROKEN),
        "peeking_refuted": all(results[s.name]["p_value"] < 0.01 for s in BROKEN),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""How many human ratings it takes to adopt the best prompt, beside rating all prompts alike without a judge.

    python -m benchmarks.adoption_power [--repetitions 2000]

4 arms: incumbent 0.2, challengers 0.5, 0.4 and 0.3 (gap 0.10), margin 0.05, confidence 95 %; five-level ratings with
sd 0.5 within an arm before the scale's ends cut it; diaries of one context correlate by 0.3 between arms; 5 raters in
turn. The judge: rho^2 of 0.3 within arms, bias sd 0.1 between arms, and 1,000 judged diaries an arm. The peer rates
every arm alike, on the same contexts for all, uses no judge, and decides by the same rule with the same guarantee: at
4 looks, and at one only. Ratings count as planned, at most; those used on average are fewer. `ratings_80` is where
P(adopt the best) crosses 0.8: of a probit fitted over the sizes tried.

The second table has a judge who is 0.1 too low on the best arm and 0.1 too high on the next: how often the best arm
leads after at most 400 ratings, and how often it is the one UCB1 on the judge alone has pulled most, or finds best.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.special import ndtri

from components.evaluate_prompts.rounds import next_pulls
from components.evaluate_prompts.samplers import UCB1
from components.evaluate_prompts.simulation import simulate
from components.evaluate_prompts.world import Setting, written

OURS = Setting("ours", (0.2, 0.5, 0.4, 0.3), rho2=0.315, n_contexts=1000, epsilon=0.05)
HUMAN = replace(OURS, name="uniform, human only", scorer="human", adaptive=False)
ONCE = replace(HUMAN, name="uniform, human only, 1 look", n_looks=1)
SIZES = {  # ratings at most, around P = 0.8
    OURS.name: (OURS, (240, 280, 320, 360, 480)),
    HUMAN.name: (HUMAN, (400, 480, 560, 640)),
    ONCE.name: (ONCE, (400, 480, 560, 640)),
    "without the judge": (replace(OURS, scorer="human"), (320, 400, 480)),
    "without adaption": (replace(OURS, adaptive=False), (320, 400, 480)),
    "400 contexts": (replace(OURS, n_contexts=400), (240, 320, 480)),
    "judge rho2 0.5": (replace(OURS, rho2=0.53), (200, 260, 480)),
    "15 % double-rated": (replace(OURS, double_rated=0.15), (240, 320, 480)),
}
AGAINST = replace(OURS, bias=(0.0, -0.1, 0.1, 0.0))
CALLS = 2000


def crossing(sizes: list[float], power: list[float], at: float = 0.8) -> float:
    """The number of ratings with power `at`: the probit of power is close to linear in the root of the number."""
    slope, start = np.polyfit(np.sqrt(sizes), ndtri(np.clip(power, 0.005, 0.995)), 1)
    return float(((ndtri(at) - start) / slope) ** 2)


def ucb_on_judge(s: Setting, repetitions: int, seed: int = 0) -> dict[str, float]:
    """How often UCB1 on the judge's scores has pulled the best arm most after CALLS calls, and gives it the highest mean."""
    best, most, highest = int(np.argmax(s.truth)), 0, 0
    for rng in np.random.default_rng(seed).spawn(repetitions):
        _, scores = written(replace(s, n_contexts=CALLS), rng)
        seen = np.full(scores.shape, np.nan)
        for _ in range(0, CALLS, 50):
            at = tuple(np.array(next_pulls(UCB1(seed=0), seen, 50)).T)
            seen[at] = scores[at]
        most += int(np.argmax((~np.isnan(seen)).sum(axis=1))) == best
        highest += int(np.argmax(np.nanmean(seen, axis=1))) == best
    return {"most_pulled": most / repetitions, "highest_mean": highest / repetitions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000, help="evaluations a row (default 2000)")
    repetitions = parser.parse_args().repetitions
    rows = [
        (name, n, replace(s, per_look=int(n / s.n_looks / (1 + s.double_rated))))
        for name, (s, sizes) in SIZES.items()
        for n in sizes
    ]
    at_400 = replace(AGAINST, per_look=100)
    print(f"{repetitions} evaluations a row")
    print(f"{'':28} {'at most':>8} {'used':>6} {'adopt':>6} {'best':>6} {'error':>6} {'cover':>6} {'rho2':>5}")
    with ProcessPoolExecutor() as pool:
        adverse = pool.submit(simulate, at_400, repetitions)
        ucb = pool.submit(ucb_on_judge, AGAINST, max(repetitions // 10, 50))
        found: dict[str, list[dict]] = {}
        rates = pool.map(partial(simulate, repetitions=repetitions), [s for *_, s in rows])
        for (name, n, _), r in zip(rows, rates, strict=True):
            found.setdefault(name, []).append(r | {"size": n})
            print(f"{name:28} {n:8} {r['ratings']:6.0f} {r['adopt']:6.3f} {r['adopt_best']:6.3f} {r['error']:6.3f} "
                  f"{r['covered']:6.3f} {r['rho2']:5.2f}", flush=True)  # fmt: skip
        adverse, ucb = adverse.result(), ucb.result()
    needed = {name: crossing([r["size"] for r in rs], [r["adopt_best"] for r in rs]) for name, rs in found.items()}
    peer = min(needed[HUMAN.name], needed[ONCE.name])
    for name, n in needed.items():
        print(f"P(adopt the best) = 0.8 at {n:5.0f} ratings, {n / peer:4.2f} of the better peer's: {name}")
    print(f"judge against the best: the best leads in {adverse['lead_best']:.3f} of evaluations at <= 400 ratings "
          f"(error {adverse['error']:.3f}); UCB1 on the judge, {CALLS} calls: most pulled in {ucb['most_pulled']:.3f}, "
          f"highest mean in {ucb['highest_mean']:.3f}")  # fmt: skip
    at_480 = {name: next(r["adopt_best"] for r in rs if r["size"] == 480) for name, rs in found.items()}
    print(json.dumps({
        "name": "adoption_power",
        "repetitions": repetitions,
        "ratings_80_ours": needed[OURS.name],
        "ratings_80_human_uniform": peer,
        "ratio": needed[OURS.name] / peer,
        "adopt_at_480_ours": at_480[OURS.name],
        "adopt_at_480_human_uniform": max(at_480[HUMAN.name], at_480[ONCE.name]),
        "rho2": found[OURS.name][-1]["rho2"],
        "best_leads_against_judge": adverse["lead_best"],
        "best_by_ucb_on_judge": ucb["most_pulled"],
    }))  # fmt: skip


if __name__ == "__main__":
    main()

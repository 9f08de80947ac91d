"""Are the intervals of a switch's value, and the departures of segments, what they say? Simulated app logs.

    python -m benchmarks.off_policy [--repetitions 2000]

Users of three segments are shown one of four prompts by logged propensities that change half way, and react by known
chances (like, dislike, written anew, nothing). Three questions, each answered by the project's own functions:

coverage     of the 95 % intervals of IPS, SNIPS and DR, for the value of the cross-fitted allocation and its gain over
             the logged policy, and the bias of each. Truth is exact.
departures   how often any segment departs to a prompt that is no better for it, where at most 5 % may. "contrary" is
             outside of what is promised: a small segment that dislikes what all others prefer to the adopted prompt.
regret       of what each segment is given, against the best for it: the adopted prompt for everyone, each segment's
             own best mean (unshrunken), ours. Worlds are drawn anew every time; the adopted prompt is the best overall.
             Here too, the coverage of the shrunk values' intervals, over worlds and cells as it is meant.
"""

import argparse
import json
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from components.personalize_prompts.allocation import departures, policy
from components.personalize_prompts.offpolicy import ESTIMATORS, crossfit, estimates
from components.personalize_prompts.segments import FOLDS, Log, cell_means, estimate

OUTCOMES = np.array([1.0, -1.0, -0.5, 0.0])
SPREAD, CONFIDENCE, EXPLORATION = 0.2, 0.95, 0.1
TASTES = ((0.0, 0.2, 0.1, 0.0), (0.0, 0.2, 0.1, 0.0), (0.0, 0.1, 0.1, 0.4))  # the third segment's best is the last
SAME = ((0.0, 0.2, 0.1, 0.2),) * 3


@dataclass(frozen=True)
class World:
    """truth: mean value of each prompt, by segment; reacting: share of showings that users react to; shares: of the

    segments; early, late: the propensities of both halves of the log's time; adopted: index of the adopted prompt.
    """

    name: str
    truth: tuple[tuple[float, ...], ...] = TASTES
    n: int = 1500
    reacting: float = 0.6
    shares: tuple[float, ...] = (0.5, 0.3, 0.2)
    early: tuple[float, ...] = (0.4, 0.2, 0.2, 0.2)
    late: tuple[float, ...] = (0.1, 0.6, 0.2, 0.1)
    adopted: int = 1


def simulate(world: World, rng: np.random.Generator) -> Log:
    """One log. Of those who react a fifth have it written anew; how many like it follows from the true mean."""
    truth, n = np.array(world.truth), world.n
    segment = rng.choice(len(world.shares), n, p=world.shares)
    chances = np.where(np.arange(n)[:, None] < n // 2, world.early, world.late)
    arm = (rng.random(n)[:, None] > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    reacting, mean = world.reacting, truth[segment, arm]
    like = (mean + 0.9 * reacting) / 2  # like - dislike - 0.2 reacting / 2 = mean, like + dislike = 0.8 reacting
    below = np.stack([like, np.full(n, 0.8 * reacting), np.full(n, reacting)], axis=1)
    value = OUTCOMES[(rng.random(n)[:, None] > below).sum(axis=1)]
    return Log(tuple("abcdefgh"[: len(truth)]), tuple("ABCD"), segment, arm, chances[np.arange(n), arm],
               np.zeros(n, bool), value, rng.integers(FOLDS, size=n))  # fmt: skip


def depart(log: Log, world: World, rows: np.ndarray | None = None):
    values = estimate(log, world.adopted, spread=SPREAD, confidence=CONFIDENCE, rows=rows)
    return departures(values, len(log.segments), CONFIDENCE), values


def coverage(world: World, repetitions: int, seed: int = 0) -> dict[str, float]:
    """Shares of intervals that hold the truth, and mean errors."""
    truth, shares = np.array(world.truth), np.array(world.shares)
    logged = shares @ truth @ (np.array(world.early) + world.late) / 2
    hits = {f"{k} {what}": [] for k in ESTIMATORS for what in ("value", "gain", "error")}
    for rng in np.random.default_rng(seed).spawn(repetitions):
        log = simulate(world, rng)
        chosen = []

        def choose(rows, log=log, chosen=chosen):
            departing, values = depart(log, world, rows)
            chosen.append(policy(*truth.shape, world.adopted, departing, EXPLORATION))
            return {"personal": chosen[-1]}, values.value

        policies, model = crossfit(log, choose)
        worth = np.array([shares @ (p * truth).sum(axis=1) for p in chosen])
        target = float(np.bincount(log.fold, minlength=FOLDS) @ worth / len(log))
        for k, e in estimates(log, policies["personal"], model, CONFIDENCE).items():
            hits[f"{k} value"].append(e.low <= target <= e.high)
            hits[f"{k} gain"].append(e.gain_low <= target - logged <= e.gain_high)
            hits[f"{k} error"].append(e.value - target)
    return {k: float(np.mean(v)) for k, v in hits.items()}


def wrong_departures(world: World, repetitions: int, seed: int = 0) -> tuple[float, float]:
    """Share of logs with any wrong departure, and the exact test's p of «at most 5 %» against more."""
    truth, wrong = np.array(world.truth), 0
    for rng in np.random.default_rng(seed).spawn(repetitions):
        departing, _ = depart(simulate(world, rng), world)
        wrong += any(truth[s, a] <= truth[s, world.adopted] + 1e-9 for s, a in departing.items())
    return wrong / repetitions, float(binomtest(wrong, repetitions, 1 - CONFIDENCE, alternative="greater").pvalue)


def regrets(n: int, taste_sd: float, repetitions: int, seed: int = 0) -> dict[str, float]:
    """Mean regret of what segments are given, and coverage; taste_sd: of a segment's own taste for a prompt."""
    shares, found = np.array(World("").shares), {"global": [], "own": [], "ours": [], "covered": []}
    for rng in np.random.default_rng(seed).spawn(repetitions):
        truth = np.clip(rng.normal(0.1, 0.1, 4) + rng.normal(0, taste_sd, (3, 4)), -0.5, 0.4)
        world = World("", tuple(map(tuple, truth)), n=n, adopted=int((shares @ truth).argmax()))
        log = simulate(world, rng)
        departing, values = depart(log, world)
        own = np.nan_to_num(cell_means(log, np.ones(n, bool))[0], nan=-1).argmax(axis=1)
        given = {"global": [world.adopted] * 3, "own": own, "ours": [departing.get(s, world.adopted) for s in range(3)]}
        found["covered"].append(((values.low <= truth) & (truth <= values.high)).mean())
        for name, arms in given.items():
            found[name].append(shares @ (truth.max(axis=1) - truth[range(3), arms]))
    return {name: float(np.mean(r)) for name, r in found.items()}


DIFFERING = World("segments differ")
COVERED = [DIFFERING, replace(DIFFERING, name="few showings", n=300),
           replace(DIFFERING, name="hardly explored", n=3000, late=(0.96, 0.02, 0.01, 0.01), early=(0.9, 0.04, 0.03, 0.03))]  # fmt: skip
ALIKE = World("alike, a rival ties", SAME)
LEVEL = [ALIKE, replace(ALIKE, name="alike, all tie", truth=((0.1,) * 4,) * 3),
         replace(ALIKE, name="alike, few showings", n=150), replace(ALIKE, name="alike, many showings", n=20_000),
         replace(ALIKE, name="alike, few react", truth=((0.02,) * 4,) * 3, reacting=0.06),
         replace(ALIKE, name="alike, hardly explored", late=(0.03, 0.91, 0.03, 0.03), early=(0.03, 0.91, 0.03, 0.03)),
         World("tastes differ, adopted best", ((-0.2, 0.2, 0.2, 0.1), (0.2, 0.2, -0.2, 0.2), (0.1, 0.2, 0.2, -0.2)))]  # fmt: skip
CONTRARY = World("contrary", ((0.0, 0.1, 0.1, 0.4),) * 2 + ((0.0, 0.1, 0.1, 0.0),), shares=(0.5, 0.45, 0.05))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000, help="logs a setting (default 2000)")
    repetitions = parser.parse_args().repetitions

    covered, wrong, lost = {}, {}, {}
    print(f"{repetitions} logs a setting\n{'coverage':30} {'':8} {'value':>6} {'gain':>6} {'bias':>8}")
    for world in COVERED:
        covered[world.name] = c = coverage(world, repetitions)
        for k, name in ESTIMATORS.items():
            print(
                f"{world.name:30} {name:8} {c[f'{k} value']:6.3f} {c[f'{k} gain']:6.3f} {c[f'{k} error']:8.4f}",
                flush=True,
            )
    print(f"\n{'wrong departures':30} {'share':>6} {'p(<= 0.05)':>11}")
    for world in [*LEVEL, CONTRARY]:
        wrong[world.name] = share, p = wrong_departures(world, repetitions)
        print(f"{world.name:30} {share:6.4f} {p:11.4f}", flush=True)
    print(f"\n{'regret':30} {'global':>8} {'own best':>9} {'ours':>8} {'cover':>6}")
    for n in (150, 1500, 15_000):
        for sd in (0.0, 0.05, 0.2):
            lost[f"n {n}, tastes' sd {sd}"] = r = regrets(n, sd, repetitions // 4)
            print(
                f"n {n}, tastes' sd {sd:<17} {r['global']:8.4f} {r['own']:9.4f} {r['ours']:8.4f} {r['covered']:6.3f}",
                flush=True,
            )
    print(json.dumps({
        "name": "off_policy",
        "repetitions": repetitions,
        "coverage": {w: {k: round(v, 4) for k, v in c.items() if not k.endswith("error")} for w, c in covered.items()},
        "wrong_departures_max": max(wrong[w.name][0] for w in LEVEL),
        "refuted": sum(wrong[w.name][1] < 0.01 for w in LEVEL),
        "wrong_departures_contrary": wrong[CONTRARY.name][0],
        "regret": {k: {name: round(x, 4) for name, x in r.items()} for k, r in lost.items()},
    }))  # fmt: skip


if __name__ == "__main__":
    main()

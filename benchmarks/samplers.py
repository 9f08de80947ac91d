"""How well each sampler finds the best of four prompts, what it costs on the way, and how fast it decides.

    python -m benchmarks.samplers [--repetitions 1000]

Every run has four arms whose rewards take five levels, -1 to 1: normal quality with sd 0.5, rounded to a level, its
mean set so that the arms' mean rewards are exactly TRUTH (best ahead by 0.10); which arm is which is shuffled in every
run. All samplers meet the same reward streams: the j-th pull of an arm pays the same, whoever pulls. The arm
recommended is that of highest mean reward; regret is the sum of (best mean - pulled arm's mean) over PULLS pulls.

Table 1: P(best) and regret at PULLS pulls, and the pulls that a sampler needs for the P(best) that UCB1 has there, as a
ratio to UCB1's (95 % bootstrap interval over runs; curves made monotone by isotonic regression).
Table 2: MABWiser's samplers on the first `--peer-repetitions` of the same streams, each beside ours: two-proportion
z-test of P(best), Welch test of regret (both are cautious, since shared streams make the two alike) and decisions per
second, one decision being one choice and one update. Two rows are no pairs of equals: ThompsonSampling on coins counts
heads of a coin tossed for every reward where ours counts the reward, and Random draws arms where our Uniform takes
them in turn.
"""

import argparse
import json
from collections.abc import Callable
from time import perf_counter

import numpy as np
from scipy.optimize import brentq, isotonic_regression
from scipy.stats import norm, ttest_ind_from_stats

from components.evaluate_prompts.samplers import SAMPLERS, Sampler, State

TRUTH = np.array([0.3, 0.2, 0.1, 0.0])
LEVELS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
QUALITY_SD = 0.5
PULLS, HORIZON = 200, 600
EPSILON = 0.1
RESAMPLES = 400


def level_chances(mean: float) -> np.ndarray:
    """The chance of each level where rewards average `mean`, [5]."""

    def chances(quality: float) -> np.ndarray:
        return np.diff(norm.cdf([-np.inf, -0.75, -0.25, 0.25, 0.75, np.inf], quality, QUALITY_SD))

    return chances(brentq(lambda quality: chances(quality) @ LEVELS - mean, -3, 3))


def ours(sampler: Sampler, table: np.ndarray) -> np.ndarray:
    """The arms that one of our samplers pulls, [HORIZON]; table: each arm's rewards in order, [K, HORIZON]."""
    state = State.of(np.empty((len(table), 0)))
    arms = np.empty(table.shape[1], dtype=int)
    for t in range(len(arms)):
        arms[t] = arm = sampler.select(state)
        state = state.after(arm, table[arm, state.n[arm]])
    return arms


def theirs(player: tuple, table: np.ndarray) -> np.ndarray:
    """The arms that MABWiser pulls by a learning policy and seed, [PULLS]: each once, and then as it chooses."""
    from mabwiser.mab import MAB

    policy, seed = player
    k, rewards = len(table), (table + 1) / 2
    bandit = MAB(list(range(k)), policy, seed=seed)
    bandit.fit(list(range(k)), rewards[:, 0])
    n, arms = np.ones(k, dtype=int), np.arange(PULLS)
    for t in range(k, PULLS):
        arms[t] = arm = bandit.predict()
        bandit.partial_fit([arm], [rewards[arm, n[arm]]])
        n[arm] += 1
    return arms


def policies(seed: int) -> dict[str, tuple[str, object]]:
    """MABWiser's learning policies by our names, each with the name of the sampler beside it."""
    from mabwiser.mab import LearningPolicy

    rng = np.random.default_rng([seed, 1])
    return {
        "UCB1": ("ucb1", LearningPolicy.UCB1(alpha=1)),
        "EpsilonGreedy": ("epsilon_greedy", LearningPolicy.EpsilonGreedy(epsilon=EPSILON)),
        "ThompsonSampling, rewards": ("thompson", LearningPolicy.ThompsonSampling(lambda arm, reward: reward)),
        "ThompsonSampling, coins": ("thompson", LearningPolicy.ThompsonSampling(lambda _, r: float(rng.random() < r))),
        "Random": ("uniform", LearningPolicy.Random()),
    }


def found(arms: np.ndarray, table: np.ndarray, best: int) -> np.ndarray:
    """Whether `best` has the highest mean reward after each pull, [T]; an arm not pulled yet has the lowest."""
    pulled = arms[:, None] == np.arange(len(table))  # [T, K]
    n = pulled.cumsum(axis=0)
    total = np.hstack([np.zeros((len(table), 1)), table.cumsum(axis=1)])[np.arange(len(table)), n]
    return np.where(n > 0, total / np.maximum(n, 1), -np.inf).argmax(axis=1) == best


class Record:
    """What one sampler did in all runs so far."""

    def __init__(self) -> None:
        self.found: list[np.ndarray] = []
        self.regret: list[float] = []
        self.seconds, self.decisions = 0.0, 0

    def add(self, truth: np.ndarray, play: Callable[..., np.ndarray], player: object, table: np.ndarray) -> None:
        start = perf_counter()
        arms = play(player, table)
        self.seconds += perf_counter() - start
        self.decisions += len(arms)
        self.found.append(found(arms, table, int(truth.argmax())))
        self.regret.append(round(float((truth.max() - truth[arms[:PULLS]]).sum()), 9))

    @property
    def best(self) -> float:
        """P(best) at PULLS pulls."""
        return float(np.mean([run[PULLS - 1] for run in self.found]))

    @property
    def speed(self) -> float:
        """Decisions a second."""
        return self.decisions / self.seconds


def needed(curve: np.ndarray, reference: np.ndarray) -> float:
    """Pulls for the P(best) that the reference has at PULLS, per pull of the reference; infinite beyond HORIZON."""
    curve, reference = isotonic_regression(curve).x, isotonic_regression(reference).x
    target = reference[PULLS - 1] - 1e-12
    if curve[-1] < target:
        return np.inf
    return (int((curve >= target).argmax()) + 1) / (int((reference >= target).argmax()) + 1)


def needed_interval(runs: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """`needed` and its 95 % bootstrap interval; runs, reference: whether the best was found, [R, HORIZON]."""
    weights = np.random.default_rng(0).multinomial(len(runs), np.full(len(runs), 1 / len(runs)), RESAMPLES) / len(runs)
    draws = [needed(a, b) for a, b in zip(weights @ runs, weights @ reference, strict=True)]
    low, high = np.quantile(draws, [0.025, 0.975], method="nearest")
    return needed(runs.mean(axis=0), reference.mean(axis=0)), float(low), float(high)


def two_proportions(a: float, n_a: int, b: float, n_b: int) -> float:
    """The two-sided p-value of the pooled z-test of two proportions."""
    pooled = (a * n_a + b * n_b) / (n_a + n_b)
    return float(2 * norm.sf(abs(a - b) / np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b)))) if a != b else 1.0


def summary(values: list[float]) -> tuple[float, float, int]:
    """Mean, standard deviation and number."""
    return float(np.mean(values)), float(np.std(values, ddof=1)), len(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000, help="runs of our samplers (default 1000)")
    parser.add_argument("--peer-repetitions", type=int, default=400, help="runs of MABWiser's, which are slower")
    args = parser.parse_args()
    chances = [level_chances(mean) for mean in TRUTH]
    sds = [float(np.sqrt(p @ LEVELS**2 - (p @ LEVELS) ** 2)) for p in chances]
    print(f"arms' means {TRUTH.tolist()}, sd {np.round(sds, 2).tolist()}; {args.repetitions} runs of {HORIZON} pulls")

    own = {name: Record() for name in SAMPLERS}
    peers = {name: Record() for name in policies(0)}
    for run in range(args.repetitions):
        rng = np.random.default_rng([2026, run])
        order = rng.permutation(len(TRUTH))
        truth = TRUTH[order]
        table = np.stack([rng.choice(LEVELS, size=HORIZON, p=chances[k]) for k in order])
        for name, cls in SAMPLERS.items():
            sampler = cls(seed=run, epsilon=EPSILON) if name == "epsilon_greedy" else cls(seed=run)
            own[name].add(truth, ours, sampler, table)
        if run < args.peer_repetitions:
            for name, (_, policy) in policies(run).items():
                peers[name].add(truth, theirs, (policy, run), table)

    print(f"\n{'sampler':15} {f'P(best) at {PULLS}':>15} {f'regret at {PULLS}':>16} "
          f"{'pulls per UCB1 pull':>20} {'decisions/s':>12}")  # fmt: skip
    reference = np.array(own["ucb1"].found, dtype=float)
    ratios = {}
    for name, r in own.items():
        runs = np.array(r.found, dtype=float)
        ratios[name], low, high = needed_interval(runs, reference)
        error = 1.96 * np.sqrt(r.best * (1 - r.best) / len(runs))
        spread = 1.96 * np.std(r.regret) / np.sqrt(len(runs))
        print(f"{name:15} {r.best:7.3f} ± {error:.3f} {np.mean(r.regret):8.2f} ± {spread:.2f}  "
              f"{f'{ratios[name]:.2f} [{low:.2f}, {high:.2f}]':>20} {r.speed:12.0f}")  # fmt: skip

    print(f"\n{'MABWiser':26} {'ours':15} {'runs':>5} {'P(best)':>8} {'ours':>6} {'p':>6} {'regret':>7} {'ours':>6} "
          f"{'p':>8} {'decisions/s':>12} {'ours/theirs':>12}")  # fmt: skip
    pairs = {}
    for name, (beside, _) in policies(0).items():
        peer, r = peers[name], own[beside]
        n = len(peer.regret)
        pairs[name] = p = {
            "p_best": two_proportions(peer.best, n, r.best, len(r.regret)),
            "p_regret": float(ttest_ind_from_stats(*summary(peer.regret), *summary(r.regret), equal_var=False).pvalue),
            "speed_ratio": r.speed / peer.speed,
        }
        print(f"{name:26} {beside:15} {n:5} {peer.best:8.3f} {r.best:6.3f} {p['p_best']:6.3f} "
              f"{np.mean(peer.regret):7.2f} {np.mean(r.regret):6.2f} {p['p_regret']:8.2g} {peer.speed:12.0f} "
              f"{p['speed_ratio']:12.2f}")  # fmt: skip
    print(json.dumps({
        "name": "samplers",
        "repetitions": args.repetitions,
        "peer_repetitions": args.peer_repetitions,
        **{f"p_best_{name}": r.best for name, r in own.items()},
        **{f"regret_{name}": float(np.mean(r.regret)) for name, r in own.items()},
        **{f"pulls_ratio_{name}": r if r < np.inf else None for name, r in ratios.items()},
        "pairs": pairs,
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""One or two ratings an item instead of six: how near a rater-adjusted mean comes to that of the whole panel.

    MEMOZY_SHARED_DATA=<folder> python -m benchmarks.rater_effects [--draws 200]

Reads klue_sts_raters.jsonl {item_id, rater_id, rating 0-5}: Korean sentence pairs, rated by 5 to 7 of 17 people each.
Of every item one or two ratings are kept by lot, and its mean is estimated from the kept ratings alone as

    plain      their mean
    shrunken   plain, drawn to the grand mean by the weight that one-way analysis of variance finds best
    adjusted   `memozy.raters.adjusted`

A weight can only be found where items have two ratings; with one, a second is kept of 15 % of the items, as in an
evaluation's sheet. With one and none, nobody can know the weight: shrunken and adjusted are then given the line that
fits the target best, so that what is left of their ratio is the raters' biases.

The target is the item's mean over its full panel. Kept ratings are part of it, which flatters whoever shrinks least;
hence also the mean over the ratings left out. The ratio of mean squared distances is of adjusted over shrunken, with a
bootstrap interval over items: below 1, adjusting for raters helps.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

from memozy.raters import adjusted, alpha, alpha_interval, fit, random_raters

DATA = Path(os.environ.get("MEMOZY_SHARED_DATA", "../shared/data")) / "klue_sts_raters.jsonl"
DOUBLED = 0.15  # of the items
DESIGNS = {"1": (1, DOUBLED), "2": (2, 0.0), "1_none_doubled": (1, 0.0)}  # ratings an item, share with one more
METHODS = ("plain", "shrunken", "adjusted")


def keep(item: np.ndarray, each: int, doubled: float, rng: np.random.Generator) -> np.ndarray:
    """[n] booleans: `each` ratings of every item by lot, and one more of a share `doubled` of the items."""
    order = rng.permutation(len(item))
    order = order[np.argsort(item[order], kind="stable")]
    n = np.bincount(item)
    place = np.empty(len(item), int)  # of a rating among those of its item, by lot
    place[order] = np.arange(len(item)) - np.repeat(np.cumsum(n) - n, n)
    return place < (each + (rng.random(len(n)) < doubled))[item]


def shrunken(value: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Item means drawn to the grand mean as one-way random-effects analysis of variance says (Searle 1971)."""
    n = np.bincount(item)
    mean = np.bincount(item, value) / n
    within = ((value - mean[item]) ** 2).sum() / (len(value) - len(n))
    among = (n * (mean - value.mean()) ** 2).sum() / (len(n) - 1)
    between = max((among - within) / ((len(value) - (n**2).sum() / len(value)) / (len(n) - 1)), 0)
    return value.mean() + between / (between + within / n) * (mean - value.mean())


def distances(
    value: np.ndarray, item: np.ndarray, rater: np.ndarray, design: str, rng: np.random.Generator
) -> np.ndarray:
    """Squared distances of each method's item means to both targets in one draw, [3 methods, 2 targets, I]."""
    each, doubled = DESIGNS[design]
    kept = keep(item, each, doubled, rng)
    targets = [np.bincount(item, w) / np.bincount(item, m) for w, m in ((value, None), (value * ~kept, ~kept))]
    y, i = value[kept], item[kept]
    plain, ours = np.bincount(i, y) / np.bincount(i), adjusted(y, i, rater[kept])[1]
    if each + doubled > 1:
        found = [[plain, shrunken(y, i), ours]] * 2
    else:
        found = [[plain] + [np.polyval(np.polyfit(x, target, 1), x) for x in (plain, ours)] for target in targets]
    return np.array([(np.array(f) - target) ** 2 for f, target in zip(found, targets, strict=True)]).swapaxes(0, 1)


def ratio(ours: np.ndarray, theirs: np.ndarray, rng: np.random.Generator, n: int = 5000) -> tuple[float, float, float]:
    """Ratio of the means of two [I] arrays and its 95 % interval, items drawn anew."""
    drawn = rng.multinomial(len(ours), np.full(len(ours), 1 / len(ours)), size=n)
    low, high = np.quantile((drawn @ ours) / (drawn @ theirs), [0.025, 0.975])
    return float(ours.mean() / theirs.mean()), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200, help="of the ratings kept (default 200)")
    draws = parser.parse_args().draws
    if not DATA.is_file():
        print(f"skipped: {DATA} is not here; MEMOZY_SHARED_DATA names the folder that holds it")
        sys.exit()
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").split("\n") if line.strip()]
    value = np.array([r["rating"] for r in rows], float)
    names, item = np.unique([r["item_id"] for r in rows], return_inverse=True)
    rater = np.array([r["rater_id"] for r in rows])

    agreement, (low, high) = alpha(value, item, rater, "interval"), alpha_interval(value, item, rater, "interval")
    effects = fit(value, item, rater)
    print(f"{len(value)} ratings of {len(names)} items by {len(effects.raters)} raters; interval alpha {agreement:.3f} "
          f"[{low:.3f}, {high:.3f}]")  # fmt: skip
    print(f"standard deviations: items {effects.item_sd:.2f}, noise {effects.noise_sd:.2f}, raters' biases "
          f"{effects.rater_sd:.2f} (from {effects.bias.min():+.2f} to {effects.bias.max():+.2f})")  # fmt: skip
    print(f"answering at random: {', '.join(random_raters(value, item, rater)) or 'nobody'}\n")
    line = {"name": "rater_effects", "alpha_interval": round(agreement, 4), "alpha_low": round(low, 4),
            "alpha_high": round(high, 4), "peer": "shrunken plain mean", "unit": "mean squared distance", "draws": draws}  # fmt: skip
    print(f"{'kept an item':<16}{'target':<16}" + "".join(f"{m:>10}" for m in METHODS) + "   adjusted / shrunken")
    for design in DESIGNS:
        rng = np.random.default_rng(0)
        mean = sum(distances(value, item, rater, design, rng) for _ in range(draws)) / draws
        for k, (target, suffix) in enumerate((("full panel", ""), ("left-out ratings", "_left_out"))):
            found, low, high = ratio(mean[2, k], mean[1, k], rng)
            print(f"{design.replace('_', ' '):<16}{target:<16}" + "".join(f"{x:>10.4f}" for x in mean[:, k].mean(axis=1))
                  + f"   {found:.3f} [{low:.3f}, {high:.3f}]")  # fmt: skip
            key = f"ratio_{design}{suffix}"
            line |= {key: round(found, 4), f"{key}_low": round(low, 4), f"{key}_high": round(high, 4)}
            line |= {
                f"{m}_{design}{suffix}": round(float(x), 4)
                for m, x in zip(METHODS, mean[:, k].mean(axis=1), strict=True)
            }
    print(json.dumps(line))


if __name__ == "__main__":
    main()

"""The same recipe on other Korean text: ratings that 7,000 film reviews were given by their own writers.

    MEMOZY_SHARED_DATA=<folder> python -m benchmarks.reward_reviews [--repeats 1]

Reads nsmc_reviews.jsonl {review_id, movie_id, text, rating 1-10}, grouped by film; ratings are brought to [-1, 1]. The
recipe is not tuned for it: what is asked is whether it learns something else than photo diaries. Against the same
reference as `benchmarks.reward_diaries`.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.reward_diaries import cross_validated
from components.train_reward import metrics
from components.train_reward.config import Config
from components.train_reward.procedure import Rows
from memozy.reward.features import Features
from memozy.texts import clean

DATA = Path(os.environ.get("MEMOZY_SHARED_DATA", "../shared/data")) / "nsmc_reviews.jsonl"
CANDIDATES = ("constant", "ensemble", "stacked", "words", "ngrams")  # the rest would take an hour and win nothing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1, help="of the cross-validation")
    config = Config(candidates=CANDIDATES, repeats=parser.parse_args().repeats)
    if not DATA.is_file():
        print(f"skipped: {DATA} is not here; MEMOZY_SHARED_DATA names the folder that holds it")
        sys.exit()
    found = [json.loads(line) for line in DATA.read_text(encoding="utf-8").split("\n") if line.strip()]
    found = [r for r in found if clean(r["text"])]
    ratings = (np.array([r["rating"] for r in found], float) - 5.5) / 4.5
    rows = Rows(Features([clean(r["text"]) for r in found], config.encoder), ratings, np.ones(len(found), int),
                np.array([r["movie_id"] for r in found]))  # fmt: skip
    began = time.monotonic()
    said, by_reference, champion = cross_validated(rows, config)
    seconds = time.monotonic() - began
    constant = said["constant"].score
    print(f"{len(found)} reviews of {len(np.unique(rows.groups))} films, variance of the rating {ratings.var():.3f}\n")
    print(f"{'':<30} {'MSE':>7} {'MAE':>7} {'Spearman':>9} {'kappa':>7}")
    scores = {name: (p.score, p.median) for name, p in said.items()} | {"reference": (by_reference, by_reference)}
    measured = {name: metrics.measure(*pair, ratings, None, constant) for name, pair in scores.items()}
    for name, m in measured.items():
        print(f"{name + (' ←' if name == champion else ''):<30} {m['mse']:7.4f} {m['mae']:7.4f} {m['spearman']:9.3f} {m['kappa']:7.3f}")
    m, ours, theirs = measured[champion], said[champion].score, by_reference
    spearman = metrics.with_intervals(ours, said[champion].median, ratings, None, constant, rows.groups, n=1000)["spearman"]
    gain = metrics.paired((ours - ratings) ** 2, (theirs - ratings) ** 2, rows.groups)
    print(f"\n{champion} less reference: MSE {gain.value:+.4f}, 95 % interval {gain.low:+.4f} to {gain.high:+.4f}; {seconds:.0f} s")
    print(json.dumps({
        "name": "reward_reviews", "peer": "character n-gram and surface ridge", "ratio": round(m["mse"] / measured["reference"]["mse"], 4),
        "ours": round(m["mse"], 4), "theirs": round(measured["reference"]["mse"], 4), "unit": "MSE", "champion": champion,
        "spearman": round(m["spearman"], 4), "spearman_low": round(spearman.low, 4), "spearman_high": round(spearman.high, 4),
        "reference_spearman": round(measured["reference"]["spearman"], 4), "seconds": round(seconds),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""How well does the reward model tell what people will say of a diary? Against a fixed reference, on real ratings.

    MEMOZY_SHARED_DATA=<folder> python -m benchmarks.reward_diaries [--repeats 10] [--train FILE]

Reads rated_diaries.jsonl {diary_id, image_id, text, rating}, grouped by photo. The stage's own recipe and its default
candidates (without LoRA and LLM judge) are cross-validated, repeats × 5 folds, everything chosen inside the folds.
The reference, fitted on the same folds: ridge regression on character 1–4-gram TF-IDF and plain surface statistics.
Differences are paired, with a 95 % bootstrap interval over photos. With --train the model is fitted on that file once and
measured on rated_diaries.jsonl, so on diaries that played no part in making it.
"""

import argparse
import json
import math
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from components.train_reward import metrics, procedure
from components.train_reward.config import Config
from components.train_reward.procedure import SELECTED, Rows
from memozy.reward.features import Features
from memozy.texts import clean

DATA = Path(os.environ.get("MEMOZY_SHARED_DATA", "../shared/data")) / "rated_diaries.jsonl"
FIRST_TEAM = {"random forest on embeddings": (0.2711, 0.4126), "LLM judge, few-shot": (0.2650, 0.3500)}  # MSE, MAE
_WORD, _SENTENCE_END = re.compile(r"\w+"), re.compile(r"[.!?~…\n]+")


def statistics(text: str) -> list[float]:
    """What the reference sees of a text beside its characters; it is fixed, whatever becomes of the product's features."""
    words, sentences = _WORD.findall(text), [s for s in _SENTENCE_END.split(text) if _WORD.search(s)]
    n = max(len(text), 1)
    return [
        len(text), math.log1p(len(text)), len(words), len(set(words)) / max(len(words), 1), n / max(len(words), 1),
        len(sentences), n / max(len(sentences), 1), text.count("!"), text.count("?"), text.count("~"), text.count("."),
        text.count(","), text.count("\n"), len(re.findall(r"[A-Za-z]", text)) / n, len(re.findall(r"[가-힣]", text)) / n,
        sum(s.rstrip().endswith(("요", "니다")) for s in sentences),
    ]  # fmt: skip


def load(path: Path) -> Rows:
    if not path.is_file():
        print(f"skipped: {path} is not here; MEMOZY_SHARED_DATA names the folder that holds it")
        sys.exit()
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    return Rows(
        Features([clean(r["text"]) for r in found], Config().encoder),
        np.array([r["rating"] for r in found], float),
        np.ones(len(found), int),
        np.array([r["image_id"] for r in found]),
    )


def reference(train: Rows, asked: list[str]) -> np.ndarray:
    """What the reference says of `asked`."""
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    grams = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True).fit(train.features.texts)
    scaler = StandardScaler().fit([statistics(t) for t in train.features.texts])

    def read(texts: list[str]):
        scaled = np.clip(scaler.transform([statistics(t) for t in texts]), -3, 3)
        return sparse.hstack([0.3 * scaled, grams.transform(texts)], format="csr")

    return np.clip(Ridge(alpha=3.0).fit(read(train.features.texts), train.ratings).predict(read(asked)), -1, 1)


def cross_validated(rows: Rows, config: Config) -> tuple[dict, np.ndarray, str]:
    """What every candidate, and the reference, says out of fold, and the champion by the stage's rule."""
    plan = procedure.plan(config, rows.copies)
    done, total, began = 0, config.folds * config.repeats, time.monotonic()

    def advance() -> None:
        nonlocal done
        done += 1
        left = (time.monotonic() - began) / done * (total - done)
        print(f"\r{done} of {total} folds, {left:.0f} s left ", end="", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as work:
        said = procedure.cross_validate(rows, plan, config, Path(work), advance).candidates
    print(file=sys.stderr)
    by_reference = np.zeros((config.repeats, len(rows.ratings)))
    for repeat, _, train, held in procedure.folds(rows.groups, config.folds, config.repeats, config.seed):
        by_reference[repeat, held] = reference(rows.take(train), [rows.features.texts[i] for i in held])
    losses = {c.name: ((said[c.name].score - rows.ratings) ** 2).mean(axis=0) for c in plan.candidates}
    return said, by_reference, procedure.choose(losses, rows.groups)


def held_out(train: Rows, rows: Rows, config: Config) -> tuple[dict, np.ndarray, str]:
    """The same of `rows`, by models fitted on `train` alone."""
    plan = procedure.plan(config, train.copies)
    with tempfile.TemporaryDirectory() as work:
        said = procedure.cross_validate(train, plan, config, Path(work), lambda: None)
        losses = {c.name: ((said.candidates[c.name].score - train.ratings) ** 2).mean(axis=0) for c in plan.candidates}
        champion = procedure.choose(losses, train.groups)
        found = {}
        for candidate in plan.candidates:
            model = procedure.finish(train, candidate, plan, said, config, Path(work) / candidate.name)
            found[candidate.name] = model.predict(rows.features.texts)
    found[SELECTED] = found[champion]
    return found, reference(train, rows.features.texts), champion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10, help="of the cross-validation")
    parser.add_argument("--train", type=Path, help="fit on this file, measure on rated_diaries.jsonl")
    arguments = parser.parse_args()
    config = Config(repeats=arguments.repeats)
    rows = load(DATA)
    began = time.monotonic()
    if arguments.train:
        said, by_reference, champion = held_out(load(arguments.train), rows, config)
    else:
        said, by_reference, champion = cross_validated(rows, config)
    seconds = time.monotonic() - began
    constant, ratings, groups = said["constant"].score, rows.ratings, rows.groups
    print(f"{len(ratings)} diaries of {len(np.unique(groups))} photos, variance of the rating {ratings.var():.3f}\n")
    print(f"{'':<30} {'MSE':>7} {'MAE':>7} {'Spearman':>9} {'kappa':>7}")
    measured = {}
    for name, p in said.items():
        m = measured[name] = metrics.measure(p.score, p.median, ratings, None, constant)
        label = "the recipe, choice included" if name == SELECTED else name + (" ←" if name == champion else "")
        print(f"{label:<30} {m['mse']:7.4f} {m['mae']:7.4f} {m['spearman']:9.3f} {m['kappa']:7.3f}")
    m = measured["reference"] = metrics.measure(by_reference, by_reference, ratings, None, constant)
    print(f"{'reference':<30} {m['mse']:7.4f} {m['mae']:7.4f} {m['spearman']:9.3f}")
    for name, (mse, mae) in FIRST_TEAM.items():
        print(f"{'first team: ' + name:<30} {mse:7.4f} {mae:7.4f}   (theirs, on 500 diaries, their split)")
    loss = (by_reference - ratings) ** 2
    behind = {name: metrics.paired((said[name].score - ratings) ** 2, loss, groups, 10_000) for name in (champion, SELECTED)}
    for name, d in behind.items():
        print(f"\n{name} less reference: MSE {d.value:+.4f}, 95 % interval {d.low:+.4f} to {d.high:+.4f}", end="")
    best = said[champion]
    covered = float(np.mean((best.low <= ratings) & (ratings <= best.high)))
    print(f"\n{config.coverage:.0%} intervals of {champion} held {covered:.1%}; {seconds:.0f} s")
    m, d = measured[champion], behind[champion]
    print(json.dumps({
        "name": "reward_diaries", "peer": "character n-gram and surface ridge", "ratio": round(m["mse"] / measured["reference"]["mse"], 4),
        "ours": round(m["mse"], 4), "theirs": round(measured["reference"]["mse"], 4), "unit": "MSE", "champion": champion,
        "difference": round(d.value, 4), "low": round(d.low, 4), "high": round(d.high, 4), "spearman": round(m["spearman"], 4),
        "mae": round(m["mae"], 4), "r2": round(m["r2"], 4), "recipe_mse": round(measured[SELECTED]["mse"], 4),
        "recipe_spearman": round(measured[SELECTED]["spearman"], 4), "coverage": round(covered, 4),
        "first_team_mse": 0.2711, "first_team_mae": 0.4126, "judge_mse": 0.2650, "judge_mae": 0.3500, "seconds": round(seconds),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

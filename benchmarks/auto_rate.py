"""Does what became of a draft tell how good people find it? Against HTER, on machine translations that people edited.

    MEMOZY_SHARED_DATA=<folder> python -m benchmarks.auto_rate [--repeats 10]

Reads mlqe_ro_en_edits.jsonl {draft, final, hter, human_scores, human_mean} (MLQE-PE, Fomicheva et al. 2022). HTER is
the share of words that the editor changed, as the data set has it; minus HTER is the peer, for which nothing needs to
be fitted. Ours is the stage's own calibration: everything is fitted inside the folds, of which each repeat draws
others, and no feature knows of a human score. The character n-grams (chrF of 1 and 2) and the three features were
chosen on these very rows, by cross-validation. The difference of the rank correlations is paired, with a 95 %
bootstrap interval over drafts.
"""

import argparse
import difflib
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import polars as pl

from components.auto_rate.calibration import Method, by_rule, out_of_fold
from components.auto_rate.config import Config
from components.auto_rate.quality import bootstrap, spearman
from memozy import edits
from memozy.texts import clean, normalise

DATA = Path(os.environ.get("MEMOZY_SHARED_DATA", "../shared/data")) / "mlqe_ro_en_edits.jsonl"
EDITS = frozenset({"edit"})
SIZES = (20, 50, 100, 200, 500)  # rated edits to learn from


def load() -> tuple[pl.DataFrame, np.ndarray]:
    """Rows as the stage has them, people's mean of 0 to 100 as -1 to 1; and HTER."""
    if not DATA.is_file():
        print(f"skipped: {DATA} is not here; MEMOZY_SHARED_DATA names the folder that holds it")
        sys.exit()
    found = [json.loads(line) for line in DATA.read_text(encoding="utf-8").split("\n") if line.strip()]
    compared = [edits.compare(row["draft"], row["final"]) for row in found]
    rows = pl.DataFrame({
        "kind": ["edit"] * len(found), "draft": [r["draft"] for r in found], "final": [r["final"] for r in found],
        "similarity": [e.similarity for e in compared], "added": [e.added for e in compared],
        "length": [math.log(len(clean(r["draft"]))) for r in found], "text_id": [normalise(r["draft"]) for r in found],
        "human": [r["human_mean"] / 50 - 1 for r in found],
    })  # fmt: skip
    return rows, np.array([r["hter"] for r in found])


def measures(rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """Similarities that need no ratings, and by which `edits.chrf` was chosen."""
    from sacrebleu.metrics import CHRF
    from sklearn.feature_extraction.text import TfidfVectorizer

    drafts, finals = ([clean(text) for text in rows[column]] for column in ("draft", "final"))
    both = list(zip(drafts, finals, strict=True))
    tfidf = TfidfVectorizer(analyzer="char", ngram_range=(2, 4)).fit(drafts + finals)
    cosine = tfidf.transform(drafts).multiply(tfidf.transform(finals)).sum(axis=1)
    theirs = CHRF()
    return {
        "Ratcliff and Obershelp": np.array([difflib.SequenceMatcher(None, d, f, autojunk=False).ratio() for d, f in both]),
        "TF-IDF cosine, characters 2 to 4": np.asarray(cosine).ravel(),
        "chrF, characters 1 to 6, β 2": np.array([theirs.sentence_score(d, [f]).score for d, f in both]),
        "chrF, characters 1 and 2, β 1": np.array([edits.chrf(d, f) for d, f in both]),
        "the same, additions set apart": rows["similarity"].to_numpy(),
        "the plain rule": by_rule(rows["similarity"].to_numpy()),
    }  # fmt: skip


def learning(rows: pl.DataFrame, repeats: int) -> list[tuple[int, float, float]]:
    """(rated edits, Spearman, MAE) on the rows not learnt from, the mean over `repeats` draws."""
    human, found = rows["human"].to_numpy(), []
    for size in SIZES:
        figures = []
        for seed in range(repeats):
            order = np.random.default_rng(seed).permutation(len(rows))
            held = order[size:]
            said = Method.fit(rows[order[:size]], EDITS).rate(rows[held])
            figures.append((spearman(said, human[held]), np.abs(said - human[held]).mean()))
        found.append((size, *np.mean(figures, axis=0)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10, help="of the cross-validation")
    repeats, folds = parser.parse_args().repeats, Config().folds
    rows, hter = load()
    human, rule = rows["human"].to_numpy(), by_rule(rows["similarity"].to_numpy())
    ours = [out_of_fold(rows, EDITS, folds, seed) for seed in range(repeats)]

    print(f"{len(rows)} edited drafts\n\n{'':<42} {'Spearman':>9} {'MAE':>7}")
    for name, values in {"minus HTER": -hter, **measures(rows)}.items():
        mae = f"{np.abs(values - human).mean():7.3f}" if name == "the plain rule" else ""
        print(f"{name:<42} {spearman(values, human):9.4f} {mae}")
    mae = float(np.mean([np.abs(o - human) for o in ours]))
    mine = float(np.mean([spearman(o, human) for o in ours]))
    print(f"{f'calibrated, {repeats} × {folds}-fold cross-validated':<42} {mine:9.4f} {mae:7.3f}\n")
    for size, rho, error in learning(rows, repeats):
        print(f"{f'calibrated on {size} rated edits':<42} {rho:9.4f} {error:7.3f}")

    def ahead(drawn: np.ndarray) -> float:
        truth = human[drawn]
        return float(np.mean([spearman(o[drawn], truth) for o in ours])) - spearman(-hter[drawn], truth)

    d = bootstrap(ahead, rows["text_id"].to_list())
    print(f"\ncalibrated less minus HTER: {d.value:+.4f}, 95 % interval {d.low:+.4f} to {d.high:+.4f}")
    theirs = spearman(-hter, human)
    print(json.dumps({
        "name": "auto_rate", "peer": "HTER", "ratio": round(mine / theirs, 4), "ours": round(mine, 4), "theirs": round(theirs, 4),
        "unit": "Spearman with the human mean", "difference": round(d.value, 4), "low": round(d.low, 4), "high": round(d.high, 4),
        "mae": round(mae, 4), "rule_mae": round(float(np.abs(rule - human).mean()), 4), "rule": round(spearman(rule, human), 4),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""Does the data path hold at size? Ratings from a file to oversampled training rows, at 10,000 to 1,000,000 ratings.

    python -m benchmarks.data_at_scale [--sizes 10000 100000 1000000]

Three diaries for every ten ratings; words are drawn from a vocabulary of 40,000 with Zipf's frequencies, some 55
characters a diary (a template's diaries would nearly all be near-duplicates). Of every fifty diaries one is another's
with one letter changed. Each stage runs as `memozy.stages.execute` in a process of its own, from files on disk. The peer
does the same work in pandas and Great Expectations, written plainly, in one process and without near-duplicates; it is
held against the stages without near-duplicates, all imports and starts of processes included. Seconds are CPU, where
not said otherwise.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from memozy import records
from memozy.texts import normalise

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY, SYLLABLES, WORDS = 40_000, 1500, (10, 21)  # words of a diary: at least, and below
RATERS, PER_CONTEXT, PLANTED, NEAR = 200, 5, 50, 0.85
STAGES = ("import_ratings", "validate_data", "split_data", "oversample")
CALL = "import sys, json; from memozy.stages import execute; execute(*json.loads(sys.argv[1]))"


def words(rng: np.random.Generator) -> np.ndarray:
    letters = np.array([chr(0xAC00 + i) for i in rng.choice(11172, SYLLABLES, replace=False)])
    lengths = rng.choice([2, 3, 4], VOCABULARY, p=[0.45, 0.4, 0.15])
    drawn = letters[rng.choice(SYLLABLES, lengths.sum(), p=zipf(SYLLABLES))]
    return np.array(["".join(drawn[end - n : end]) for end, n in zip(np.cumsum(lengths), lengths, strict=True)])


def zipf(n: int) -> np.ndarray:
    return (1 / np.arange(1, n + 1)) / (1 / np.arange(1, n + 1)).sum()


def make(folder: Path, n_ratings: int) -> list[tuple[int, int]]:
    """Write the inputs of the first stages; the pairs of diaries of which one is the other's near-duplicate."""
    rng, n = np.random.default_rng(n_ratings), 3 * n_ratings // 10
    lengths = rng.integers(*WORDS, n)
    drawn = words(rng)[rng.choice(VOCABULARY, lengths.sum(), p=zipf(VOCABULARY))]
    texts = [" ".join(drawn[end - k : end]) + "." for end, k in zip(np.cumsum(lengths), lengths, strict=True)]
    planted = []
    for source, copy in rng.choice(n, (n // PLANTED, 2), replace=False).tolist():
        texts[copy] = texts[source][:9] + "갸" + texts[source][10:]
        if cosine(texts[source], texts[copy]) >= NEAR:  # which one letter of a short diary is too much for
            planted.append((source, copy))
    ids = [f"d{i:07d}" for i in range(n)]
    contexts = pl.DataFrame({"context_id": [f"c{i:06d}" for i in range(n // PER_CONTEXT + 1)]})
    contexts = contexts.with_columns(place=pl.lit("바다"), people=pl.lit("가족"), mood=pl.lit("기쁨"))
    diaries = pl.DataFrame(
        {"diary_id": ids, "context_id": [f"c{i // PER_CONTEXT:06d}" for i in range(n)], "text": texts}
    )
    diaries = diaries.with_columns(
        prompt_id=pl.lit("A"), generator=pl.lit("writer"), cost_usd=0.0, created_at=pl.lit("2026-01-01")
    )
    diary = np.arange(n_ratings) % n
    rater = (rng.integers(0, RATERS, n)[diary] + np.arange(n_ratings) // n) % RATERS  # nobody rates a diary twice
    level = rng.choice(records.RATING_LEVELS, n_ratings, p=[0.04, 0.11, 0.15, 0.45, 0.25])
    ratings = pl.DataFrame({"diary_id": np.array(ids)[diary], "rater_id": [f"r{i}" for i in rater], "rating": level})
    (folder / "surrogates").mkdir(parents=True)
    records.write(contexts, folder / "contexts", records.CONTEXTS)
    records.write(diaries, folder / "diaries", records.DIARIES)
    ratings.write_csv(folder / "ratings.csv")
    records.write(
        pl.DataFrame(schema=records.SURROGATES.dtypes), folder / "surrogates/surrogates.parquet", records.SURROGATES
    )
    records.write(pl.DataFrame(schema=records.DIARIES.dtypes), folder / "surrogates/diaries.parquet", records.DIARIES)
    return planted


def cosine(one: str, other: str) -> float:
    """Of counts of 2- to 4-grams of letters, from its definition."""
    a, b = (
        Counter(text[i : i + n] for n in (2, 3, 4) for i in range(len(text) - n + 1))
        for text in map(normalise, (one, other))
    )
    return sum(a[g] * b[g] for g in a) / math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))


def calls(folder: Path, near_duplicate: float) -> dict[str, tuple[dict, dict[str, str], dict[str, str]]]:
    """Of each stage its config, inputs and outputs."""

    def paths(*names: str) -> dict[str, str]:
        return {name: str(folder / name) for name in names}

    return {
        "import_ratings": ({"path": str(folder / "ratings.csv")}, paths("diaries", "contexts"),
                           paths("ratings", "rated_diaries", "events", "quarantine")),
        "validate_data": ({"personal_data": "allow"}, paths("ratings", "rated_diaries", "surrogates"),
                          paths("validated", "version", "checks", "validation")),
        "split_data": ({"near_duplicate": near_duplicate}, paths("validated"), paths("rated", "quarantine")),
        "oversample": ({}, paths("rated"), paths("oversampled", "oversample_report")),
    }  # fmt: skip


def measured(command: list[str], **environment: str) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak MB of a process."""
    began = time.monotonic()
    child = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)[:200]} ended with {child.returncode}")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss / 1024


def run_stages(folder: Path, near_duplicate: float, stages: tuple[str, ...]) -> dict[str, tuple[float, float, float]]:
    found = {}
    with tempfile.TemporaryDirectory() as run:  # in a run, so that nothing goes to MLflow from here
        for stage in stages:
            call = json.dumps([stage, *calls(folder, near_duplicate)[stage]])
            found[stage] = measured([sys.executable, "-c", CALL, call], MEMOZY_RUN_DIR=run)
    return found


def check_planted(folder: Path, planted: list[tuple[int, int]]) -> None:
    """Every planted near-duplicate must have joined its original's group."""
    rated = records.read(folder / "rated", records.RATED)
    group = dict(zip(rated["diary_id"], rated["group_id"], strict=True))
    missed = sum(group[f"d{a:07d}"] != group[f"d{b:07d}"] for a, b in planted)
    if missed or not planted:
        sys.exit(f"{missed} of {len(planted)} planted near-duplicates stand in a group of their own")


def peer(folder: Path) -> None:
    """The same work as a person would write it in a notebook: read, check, pin, split by photo and equal text, count."""
    import hashlib
    import re
    import unicodedata

    import great_expectations as gx
    import great_expectations.expectations as gxe
    import pandas as pd
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ratings = pd.read_csv(folder / "ratings.csv", dtype={"diary_id": str, "rater_id": str})
    diaries = pd.read_parquet(folder / "diaries")
    sound = ratings["diary_id"].isin(diaries["diary_id"]) & ratings["rating"].isin(records.RATING_LEVELS)
    ratings = ratings[sound].drop_duplicates()
    ratings = ratings[~ratings.duplicated(["diary_id", "rater_id"], keep=False)]
    diaries = diaries[diaries["diary_id"].isin(ratings["diary_id"])]
    letters, hangul = diaries["text"].str.count(r"[^\W\d_]"), diaries["text"].str.count("[가-힣ㄱ-ㅎㅏ-ㅣ]")
    diaries["hangul"] = (hangul / letters).fillna(0.0)
    diaries["personal"] = diaries["text"].str.contains(r"@|\d(?:\W{0,3}\d){7}")
    rules = {
        "diaries": (diaries, [
            *(gxe.ExpectColumnValuesToNotBeNull(column=c) for c in ("diary_id", "context_id", "prompt_id", "text")),
            gxe.ExpectColumnValuesToMatchRegex(column="text", regex=r"\S"),
            gxe.ExpectColumnValueLengthsToBeBetween(column="text", min_value=1, max_value=2000),
            gxe.ExpectColumnValuesToBeBetween(column="hangul", min_value=0.5, mostly=0.9),
            gxe.ExpectColumnValuesToBeUnique(column="diary_id"),
            gxe.ExpectColumnValuesToBeInSet(column="personal", value_set=[False], mostly=0),
            gxe.ExpectTableRowCountToBeBetween(min_value=20),
        ]),
        "ratings": (ratings, [
            *(gxe.ExpectColumnValuesToNotBeNull(column=c) for c in ("diary_id", "rater_id", "rating")),
            gxe.ExpectColumnValuesToBeInSet(column="rating", value_set=list(records.RATING_LEVELS)),
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["diary_id", "rater_id"]),
            gxe.ExpectColumnUniqueValueCountToBeBetween(column="rating", min_value=2),
        ]),
    }  # fmt: skip
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for name, (frame, expectations) in rules.items():
        asset = context.data_sources.add_pandas(name).add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": frame})
        if not batch.validate(gx.ExpectationSuite(name=name, expectations=expectations)).success:
            sys.exit(f"{name} break a rule")
    for name, frame in (
        ("ratings", ratings.sort_values(["diary_id", "rater_id"])),
        ("diaries", diaries.sort_values("diary_id")),
    ):
        frame.to_parquet(folder / f"peer-{name}")
        hashlib.md5((folder / f"peer-{name}").read_bytes()).hexdigest()

    by_diary = ratings.groupby("diary_id")["rating"].agg(["mean", "var", "count"])
    rows = diaries.merge(by_diary, left_on="diary_id", right_index=True).sort_values("diary_id").reset_index(drop=True)
    keys = [re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text).casefold()) for text in rows["text"]]
    links, nodes = [], len(rows)
    for column in (rows["context_id"], pd.Series(keys)):
        codes, values = pd.factorize(column)
        links.append(np.column_stack((np.arange(len(rows)), nodes + codes)))
        nodes += len(values)
    ends = np.concatenate(links)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(nodes, nodes))
    rows["part"] = connected_components(graph, directed=False)[1][: len(rows)]
    rows["group_id"] = rows.groupby("part")["context_id"].transform("min")
    side = {g: int(hashlib.sha256(g.encode()).hexdigest()[:16], 16) / 2**64 < 0.2 for g in rows["group_id"].unique()}
    rows["split"] = np.where(rows["group_id"].map(side), "test", "train")
    rows.to_parquet(folder / "peer-rated")
    train = rows["split"] == "train"
    level = np.ceil(2 * rows["mean"] - 0.5) / 2
    counts = level[train].value_counts()
    rows["copies"] = np.where(train, level.map(np.ceil(counts.max() / counts - 0.5).clip(1, 4)), 1).astype(int)
    rows.to_parquet(folder / "peer-oversampled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="ratings")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)  # the folder, in the peer's own process
    args = parser.parse_args()
    if args.peer:
        return peer(args.peer)
    print(f"{'ratings':>9}  {'':<34}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}")
    total, plain, theirs = {}, {}, {}
    for n in args.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            planted = make(folder, n)
            found = run_stages(folder, NEAR, STAGES)
            check_planted(folder, planted)
            without = run_stages(folder, 1.0, ("split_data",))["split_data"]
            theirs[n] = measured([sys.executable, "-m", "benchmarks.data_at_scale", "--peer", str(folder)])
        cpu, wall, peak = zip(*found.values(), strict=True)
        total[n] = sum(cpu), sum(wall), max(peak)
        plain[n] = sum(cpu) - found["split_data"][0] + without[0]
        table = found | {
            "the four": total[n],
            "split_data, no near-duplicates": without,
            "pandas + GX, no near-duplicates": theirs[n],
        }
        for name, (c, w, p) in table.items():
            print(f"{n:>9,}  {name:<34}{c:>8.1f}{w:>8.1f}{p:>9.0f}", flush=True)
    sizes, largest = sorted(total), max(total)
    growth = [math.log(total[b][0] / total[a][0]) / math.log(b / a) for a, b in zip(sizes, sizes[1:], strict=False)]
    print(json.dumps({
        "name": "data_at_scale", "peer": "pandas + Great Expectations, without near-duplicates", "unit": "CPU s",
        "ratio": round(plain[largest] / theirs[largest][0], 2), "ours": round(plain[largest], 1), "theirs": round(theirs[largest][0], 1),
        "ratings": largest, "seconds": round(total[largest][1], 1), "cpu_seconds": round(total[largest][0], 1),
        "peak_mb": round(total[largest][2]), "growth": [round(g, 2) for g in growth],
    }))  # fmt: skip


if __name__ == "__main__":
    main()

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from components.split_data import split
from components.split_data.config import Config
from memozy import records
from memozy.records import InputError
from memozy.stages import In, Out, Result
from memozy.texts import connected, near_pairs, normalise

# Rows that were split before contexts were recorded have their group's id for one, as they were linked then.
EARLIER = replace(records.RATED, fields=records.RATED.fields | {
    "context_id": replace(records.RATED.fields["context_id"], nullable=True),
})  # fmt: skip


def run(config: Config, *, validated: In, rated: Out, quarantine: Out) -> Result:
    """Aggregate ratings by diary and split the diaries so that no photo and no text stands on both sides.

    Rows of `config.previous` keep their split, and newcomers near them inherit it; a newcomer that would
    join training to test rows goes to `quarantine` {diary_id, context_id, reason}.
    """
    ratings = records.read(validated / "ratings.parquet", records.RATINGS)
    diaries = records.read(validated / "diaries.parquet", records.DIARIES)
    rows = (
        diaries.select("diary_id", "context_id", "image_id", "prompt_id", "text")
        .join(
            ratings.group_by("diary_id").agg(
                pl.col("rating").mean(),
                rating_variance=pl.col("rating").var(),
                n_raters=pl.len().cast(pl.Int64),
                simulated=(pl.col("source") == records.SIMULATED).any(),
            ),
            on="diary_id",
        )
        .sort("diary_id")
    )
    if rows.is_empty():
        raise InputError("holds no rated diary", file=validated, remedy="Rate some diaries first")
    earlier = pl.DataFrame(schema=records.RATED.dtypes)
    if config.previous is not None:
        earlier = records.read(config.previous, EARLIER).with_columns(
            pl.col("context_id").fill_null(pl.col("group_id"))
        )
    # Earlier rows stand in the graph beside the new ones. A group's id is one of its photos, where a context without
    # one stands for itself.
    seen = ("diary_id", "context_id", "image_id", "text")
    both = pl.concat([rows.select(seen), earlier.select(seen)])
    ids, contexts = both["diary_id"].to_list(), both["context_id"].to_list()
    photos = both["image_id"].fill_null(both["context_id"]).to_list()
    names = photos[: rows.height] + earlier["group_id"].to_list()
    keys = [normalise(text) for text in both["text"]]
    known = {r["diary_id"]: split.Place(r["group_id"], r["split"]) for r in earlier.to_dicts()}
    old = [known.get(diary) for diary in ids]
    pairs = near_pairs(keys, config.near_duplicate)
    columns = [ids, contexts, photos, names, keys]
    _refuse_leak(columns, pairs, old, config)
    labels = connected(columns, pairs)
    largest = Counter(labels[: rows.height].tolist()).most_common(1)[0][1] / rows.height
    if largest > config.max_group_share:
        raise InputError(f"one group holds {largest:.0%} of the diaries, more than {config.max_group_share:.0%}",
                         file=validated, field="context_id",
                         remedy="Rate diaries of more photos, or raise split_data.near_duplicate or max_group_share")  # fmt: skip
    places = split.assign(labels.tolist(), photos, old, config.seed, config.test_share)[: rows.height]
    placed = rows.with_columns(
        group_id=pl.Series([p.group_id for p in places], dtype=pl.String),
        split=pl.Series([p.split for p in places], dtype=pl.String),
    )
    kept = placed.filter(pl.col("split").is_not_null())
    counts = Counter(kept["split"])
    for side in (split.TRAIN, split.TEST):
        if not counts[side]:
            raise InputError(f"no diary falls into {side}", file=validated, field="split",
                             remedy="Rate diaries of more photos, or change split_data.seed or test_share")  # fmt: skip
    reason = "shares a photo or a text with training rows and with test rows"
    aside = placed.filter(pl.col("split").is_null()).select("diary_id", "context_id", reason=pl.lit(reason))
    records.write(kept.select(records.RATED.fields.keys()), rated, records.RATED)
    records.write_jsonl(aside.to_dicts(), quarantine)
    return Result(metrics={
        "n_train": counts[split.TRAIN],
        "n_test": counts[split.TEST],
        "n_groups": kept["group_id"].n_unique(),
        "n_near_duplicates": len(pairs),
        "n_inherited": sum(diary in known for diary in kept["diary_id"]),
        "n_quarantined": aside.height,
        "largest_group_share": largest,
    })  # fmt: skip


def _refuse_leak(columns: list[list[str]], pairs: np.ndarray, old: list[split.Place | None], config: Config) -> None:
    """Raise InputError where earlier rows alone, under today's settings and texts, join train to test.

    columns: what links rows, their diary ids first.
    """
    at = [row for row, place in enumerate(old) if place is not None]
    number = {row: n for n, row in enumerate(at)}
    among = [(number[i], number[j]) for i, j in pairs.tolist() if i in number and j in number]
    if not at:
        return
    labels = connected([[column[row] for row in at] for column in columns], np.array(among))
    sides: dict[int, dict[str, str]] = {}
    for label, row in zip(labels.tolist(), at, strict=True):
        here = sides.setdefault(label, {})
        here.setdefault(old[row].split, columns[0][row])
        if len(here) > 1:
            raise InputError(f"diary '{here['train']}' of train and '{here['test']}' of test now share a group",
                             file=Path(config.previous), field="split",
                             remedy="Keep the texts, contexts and near_duplicate of the earlier run, "
                                    "or start a new split with previous: null")  # fmt: skip

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from components.split_data import diaries, split
from components.split_data.config import Config
from memozy import records
from memozy.records import InputError
from memozy.stages import In, Out, Result
from memozy.texts import connected, near_pairs, normalise

# Rows that were split before contexts were recorded have their group's id for one, as they were linked then.
EARLIER = replace(records.RATED, fields=records.RATED.fields | {
    "context_id": replace(records.RATED.fields["context_id"], nullable=True),
})  # fmt: skip
LINKS = ("diary_id", "context_id", "photo", "name", "key")  # rows that agree in any of them are one group
BRIDGE = "shares a photo or a text with training rows and with test rows"
UNTESTED = "is a surrogate whose group is held out: only what people said is tested on"


def run(config: Config, *, validated: In, rated: Out, quarantine: Out) -> Result:
    """Make one row of each diary and split the diaries so that no photo and no text stands on both sides.

    Rows of `config.previous` keep their split, and newcomers near them inherit it; a newcomer that would
    join training to test rows goes to `quarantine` {diary_id, context_id, reason}. Surrogates are placed after people's
    ratings, so that none moves these, earlier ones neither; one whose group is held out goes to `quarantine` as well.
    What was a surrogate to train on and is rated now stays a training row.
    """
    ratings = records.read(validated / "ratings.parquet", records.RATINGS)
    texts = records.read(validated / "diaries.parquet", records.DIARIES)
    rows = diaries.rated(ratings, texts, config.aggregate == "adjusted") if ratings.height else texts.clear()
    if rows.is_empty():
        raise InputError("holds no rated diary", file=validated, remedy="Rate some diaries first")
    earlier = pl.DataFrame(schema=records.RATED.dtypes)
    if config.previous is not None:
        earlier = records.read(config.previous, EARLIER).with_columns(
            pl.col("context_id").fill_null(pl.col("group_id"))
        )
    new = _linkable(rows).join(_place(earlier), on="diary_id", how="left", maintain_order="left")
    of_people = records.HUMAN | pl.col("diary_id").is_in(rows["diary_id"].implode())
    old, old_surrogates = _standing(earlier.filter(of_people)), _standing(earlier.filter(~of_people))
    _refuse_leak(pl.concat([new.filter(pl.col("old_split").is_not_null()), old]), config)
    both = pl.concat([new, old])
    labels, n_near = _groups(both, config)
    largest = int(np.bincount(labels[: rows.height]).max()) / rows.height
    if largest > config.max_group_share:
        raise InputError(f"one group holds {largest:.0%} of the diaries, more than {config.max_group_share:.0%}",
                         file=validated, field="context_id",
                         remedy="Rate diaries of more photos, or raise split_data.near_duplicate or max_group_share")  # fmt: skip
    places = split.assign(both.with_columns(group=labels), config.seed, config.test_share)
    placed = rows.hstack(places.head(rows.height)).with_columns(reason=pl.lit(BRIDGE))
    automatic = _surrogates(validated, rows, config)
    if automatic.height:
        standing = both.with_columns(old_group=places["group_id"], old_split=places["split"])
        standing = standing.filter(pl.col("old_split").is_not_null())
        placed = pl.concat([placed, _placed_beside(automatic, pl.concat([standing, old_surrogates]), config)])
    kept = placed.filter(pl.col("split").is_not_null())
    counts = dict(kept.group_by("split").len().iter_rows())
    for side in (split.TRAIN, split.TEST):
        if not kept.filter(~pl.col("surrogate"), split=side).height:
            raise InputError(f"no diary falls into {side}", file=validated, field="split",
                             remedy="Rate diaries of more photos, or change split_data.seed or test_share")  # fmt: skip
    aside = placed.filter(pl.col("split").is_null()).select("diary_id", "context_id", "reason", "surrogate")
    records.write(kept, rated, records.RATED)
    records.write_jsonl(aside.drop("surrogate").iter_rows(named=True), quarantine)
    return Result(metrics={
        "n_train": counts[split.TRAIN],
        "n_test": counts[split.TEST],
        "n_groups": kept["group_id"].n_unique(),
        "n_near_duplicates": n_near,
        "n_inherited": kept.join(earlier, on="diary_id", how="semi").height,
        "n_quarantined": aside.height,
        "n_surrogates": int(kept["surrogate"].sum()),
        "n_surrogates_aside": int(aside["surrogate"].sum()),
        "largest_group_share": largest,
    })  # fmt: skip


def _surrogates(validated: Path, people: pl.DataFrame, config: Config) -> pl.DataFrame:
    """The rows that surrogates make, by the setting of that name; none where the data set holds none."""
    file = validated / "surrogates.parquet"
    if config.surrogates == "leave_out" or not file.is_file():
        return people.clear()
    texts = records.read(validated / "surrogate_diaries.parquet", records.DIARIES)
    return diaries.suggested(records.read(file, records.SURROGATES), texts, people, config.surrogates == "all")


def _placed_beside(automatic: pl.DataFrame, old: pl.DataFrame, config: Config) -> pl.DataFrame:
    """The surrogates with their places and, where they have none, the reason; `old` rows, people's and earlier surrogates,
    stand where they are."""
    both = pl.concat([_linkable(automatic), old], how="diagonal")
    labels, _ = _groups(both, config)
    places = split.assign(both.with_columns(group=labels), config.seed, config.test_share)
    held_out = pl.col("split") == split.TEST
    return automatic.hstack(places.head(automatic.height)).with_columns(
        split=pl.when(~held_out).then("split"),
        reason=pl.when(held_out).then(pl.lit(UNTESTED)).otherwise(pl.lit(BRIDGE)),
    )


def _linkable(rows: pl.DataFrame) -> pl.DataFrame:
    """What links a row to others. A group's id is one of its photos, where a context without one stands for itself."""
    photo = pl.coalesce("image_id", "context_id")
    keys = pl.Series("key", [normalise(text) for text in rows["text"]], dtype=pl.String)
    return rows.select("diary_id", "context_id", photo=photo, name=photo).with_columns(keys)


def _place(earlier: pl.DataFrame) -> pl.DataFrame:
    return earlier.select("diary_id", old_group="group_id", old_split="split")


def _standing(earlier: pl.DataFrame) -> pl.DataFrame:
    """Earlier rows as they are linked: by the name of their group, too."""
    return _linkable(earlier).join(_place(earlier), on="diary_id").with_columns(name=pl.col("old_group"))


def _groups(rows: pl.DataFrame, config: Config) -> tuple[np.ndarray, int]:
    """A group number for each row, and how many links of texts nearly the same that took."""
    links = np.empty((0, 2))
    if config.near_duplicate < 1:
        links = near_pairs(rows["key"].to_list(), config.near_duplicate, spanning=True)
    return connected([rows[name] for name in LINKS], links), len(links)


def _refuse_leak(old: pl.DataFrame, config: Config) -> None:
    """Raise InputError where earlier rows alone, under today's settings and texts, join train to test."""
    if old.is_empty():
        return
    labels, _ = _groups(old, config)
    side = pl.col("old_split")
    leak = old.with_columns(group=labels).filter((side.min() != side.max()).over("group"))
    if leak.is_empty():
        return
    one = leak.filter(group=leak["group"][0])
    train, test = (one.filter(old_split=s)["diary_id"][0] for s in (split.TRAIN, split.TEST))
    raise InputError(f"diary '{train}' of train and '{test}' of test now share a group",
                     file=Path(config.previous), field="split",
                     remedy="Keep the texts, contexts and near_duplicate of the earlier run, "
                            "or start a new split with previous: null")  # fmt: skip

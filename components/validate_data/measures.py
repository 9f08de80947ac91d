"""What rules are checked on: for each row of a table a few numbers and flags, and no text. Columns come in their own types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from components.validate_data.panel import Panel
from memozy import records
from memozy.drift import Drift
from memozy.texts import near_pairs, normalise

LOOKED_AT = 5_000  # texts that may be nearly the same, drawn by a seed where there are more


def columns(frames: Mapping[str, pl.DataFrame], schemas: Mapping[str, records.Schema]) -> pl.DataFrame:
    """The columns that tables need, and whether they have them: {table, column, there}."""
    rows = [(name, column, column in frames[name].columns)
            for name, schema in schemas.items() for column, f in schema.fields.items() if not f.nullable]  # fmt: skip
    return pl.DataFrame(rows, schema={"table": pl.String, "column": pl.String, "there": pl.Boolean}, orient="row")


def presence(frame: pl.DataFrame, schema: records.Schema) -> pl.DataFrame:
    """For every field that must be there a flag `has <field>`: its value is no null and no NaN."""
    needed = [name for name, f in schema.fields.items() if not f.nullable]
    return frame.select(
        (pl.col(name).is_finite().fill_null(False) if frame.schema[name].is_float() else pl.col(name).is_not_null()).alias(f"has {name}")
        for name in needed
    )  # fmt: skip


def of_diaries(diaries: pl.DataFrame, personal: pl.DataFrame, backing: pl.Series) -> pl.DataFrame:
    """Of a table of texts: characters, whether any is visible, the Hangul share, whether personal data was found in it
    (`personal`, as memozy.personal_data finds it), and whether its id stands in `backing`."""
    text = diaries["text"]
    held = np.zeros(diaries.height, dtype=bool)
    held[personal["row"].to_numpy()] = True
    return presence(diaries, records.DIARIES).with_columns(
        chars=text.str.len_chars(), visible=text.str.contains(r"\S").fill_null(True), hangul=hangul_share(text),
        personal=pl.Series(held), diary=codes(diaries["diary_id"]), backed=stands_in(diaries["diary_id"], backing),
    )  # fmt: skip


def of_ratings(ratings: pl.DataFrame, diary_ids: pl.Series) -> pl.DataFrame:
    """Of ratings: the level, numbers of diary and rater, and whether the diary is there."""
    return presence(ratings, records.RATINGS).with_columns(
        rating=ratings["rating"].fill_nan(None),
        diary=codes(ratings["diary_id"]), rater=codes(ratings["rater_id"]), backed=stands_in(ratings["diary_id"], diary_ids),
    )  # fmt: skip


def of_surrogates(surrogates: pl.DataFrame, diary_ids: pl.Series) -> pl.DataFrame:
    """Of surrogates: the rating, an id's number, whether the diary is there, and closed sets kept."""
    sets = {f"{name} is known": stands_in(surrogates[name], pl.Series(f.choices))
            for name, f in records.SURROGATES.fields.items() if f.choices}  # fmt: skip
    return presence(surrogates, records.SURROGATES).with_columns(
        rating=surrogates["rating"].fill_nan(None),
        diary=codes(surrogates["diary_id"]), backed=stands_in(surrogates["diary_id"], diary_ids), **sets,
    )  # fmt: skip


def classes(ratings: pl.DataFrame) -> pl.DataFrame:
    """How many ratings each level has: {level, n}."""
    counts = [(f"{level:g}", int((ratings["rating"] == level).sum())) for level in records.RATING_LEVELS]
    return pl.DataFrame(counts, schema={"level": pl.String, "n": pl.Int64}, orient="row")


def drifts(found: Sequence[Drift], most: float) -> pl.DataFrame:
    """{of, divergence, beyond}: beyond, whether it is more than `most` and not by chance."""
    rows = [(drift.of, drift.divergence, drift.beyond(most)) for drift in found]
    return pl.DataFrame(rows, schema={"of": pl.String, "divergence": pl.Float64, "beyond": pl.Boolean}, orient="row")


def raters(panel: Panel | None) -> pl.DataFrame:
    """{rater_id, at_random} of those that were looked at."""
    rows = [] if panel is None else [(rater.name, rater.at_random) for rater in panel.raters]
    return pl.DataFrame(rows, schema={"rater_id": pl.String, "at_random": pl.Boolean}, orient="row")


def copied(texts: pl.Series, threshold: float) -> tuple[pl.DataFrame, list[tuple[int, int]]]:
    """For each row two flags, and the pairs, of rows: so many as join all that are alike.

    equal: its text is another row's, null without one. copied: it is, or nearly, null where that was not looked at. Of many
    texts LOOKED_AT are drawn: their equals are looked for among all, their near ones among the drawn, so that the share of
    copies is about what is found or more.
    """
    keys = pl.Series([None if text is None else normalise(text) for text in texts], dtype=pl.String)
    equal = keys.is_duplicated() & keys.is_not_null()
    first: dict[str, int] = {}
    pairs = [(first[key], row) for row, key in enumerate(keys) if key is not None and first.setdefault(key, row) != row]
    drawn = np.flatnonzero(keys.is_not_null().to_numpy())
    if len(drawn) > LOOKED_AT:
        drawn = np.sort(np.random.default_rng(0).choice(drawn, LOOKED_AT, replace=False))
    near = np.empty((0, 2), dtype=np.int64)
    if threshold < 1:
        near = near_pairs(keys.gather(drawn).to_list(), threshold, spanning=True)
    pairs += [(int(drawn[i]), int(drawn[j])) for i, j in near]
    flags = np.full(len(texts), np.nan, dtype=np.float32)
    flags[drawn] = equal.gather(drawn).to_numpy()
    flags[drawn[near.ravel()]] = 1
    told = pl.when(keys.is_not_null()).then(equal.cast(pl.Float32))
    return pl.select(equal=told, copied=pl.Series(flags).fill_nan(None)), pairs


def hangul_share(texts: pl.Series) -> pl.Series:
    """The share of each text's letters that are Hangul, syllables or jamo, in [0, 1]; 0 without letters, null for a null."""
    letters, hangul = texts.str.count_matches(r"\pL"), texts.str.count_matches(r"\p{Hangul}")
    return pl.select(pl.when(letters == 0).then(0.0).otherwise(hangul / letters)).to_series()


def codes(ids: pl.Series) -> pl.Series:
    """A number for each different id, null for a null."""
    return ids.cast(pl.Categorical).to_physical()


def stands_in(ids: pl.Series, known: pl.Series) -> pl.Series:
    """Whether each id is one of `known`; a null, of which another rule tells, is let pass."""
    return ids.is_in(known.implode()).fill_null(True)

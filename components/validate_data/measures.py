"""What rules are checked on: for each row of a table a few numbers and flags, and no text. Columns come in their own types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from components.validate_data.panel import Panel
from memozy import records
from memozy.drift import Drift
from memozy.texts import near_pairs, normalise

LOOKED_AT = 5_000  # texts compared with each other, drawn by a seed where there are more


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


def copied(texts: pl.Series, threshold: float) -> tuple[pl.Series, list[tuple[int, int]]]:
    """Whether a row's text is another row's, or nearly (a flag, null where it was not looked at), and the pairs.

    The pairs, of rows, are so many as join all that are alike. Of many texts LOOKED_AT are compared, so that a copy whose
    original was not drawn is not seen: the share of copies is then at least what is found.
    """
    rows = np.flatnonzero(texts.is_not_null().to_numpy())
    if len(rows) > LOOKED_AT:
        rows = np.sort(np.random.default_rng(0).choice(rows, LOOKED_AT, replace=False))
    keys = [normalise(text) for text in texts.gather(rows)]
    near = near_pairs(keys, threshold, spanning=True)
    first: dict[str, int] = {}
    equal = [(first[key], i) for i, key in enumerate(keys) if first.setdefault(key, i) != i]
    pairs = [(int(rows[i]), int(rows[j])) for i, j in [*equal, *near.tolist()]]
    flags = np.full(len(texts), np.nan, dtype=np.float32)
    flags[rows] = 0
    flags[[row for pair in pairs for row in pair]] = 1
    return pl.Series(flags).fill_nan(None), pairs


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

"""What a single row of ratings must keep to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from memozy.records import RATING_LEVELS
from memozy.tables.cells import SHOWN, on_one_line

IDS = ("diary_id", "rater_id", "context_id", "image_id")
UNRATED = "was not rated"  # the reason where there is no mark, as in a sheet that is not filled in to its end
LONGEST_ID = 200  # characters
LONGEST_TEXT = 100_000
NOBODY = ("", "unknown")  # what people write where they do not know who rated
_CONTROL = r"[\x00-\x1f\x7f]"
_OUTSIDE = r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]"  # ids come to name files
_TIME = (r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
         r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$")  # fmt: skip
_NO_TEXT = r"[\x00-\x08\x0e-\x1f\x7f]"  # white space is text


def tidied(rows: pl.DataFrame, scale: Mapping[str, float] | None) -> pl.DataFrame:
    """Rows without white space around ids, marks and texts, with null where nothing is left, and lines that end in \\n.

    `given` is the mark as it was, `rating` its level, or null where it has none.
    """
    strip = {name: _stripped(name) for name in (*IDS, "rated_at", "text")}
    rows = rows.with_columns(**strip, given=_stripped("rating"))
    if rows["text"].str.contains("\r", literal=True).any():
        rows = rows.with_columns(pl.col("text").str.replace_all("\r\n?", "\n"))
    return rows.with_columns(
        # where only the photo is told, it is what the diary was written for
        pl.coalesce("context_id", "image_id").alias("context_id"),
        rater_id=pl.when(~pl.col("rater_id").is_in(NOBODY)).then("rater_id"),
        rating=_level(pl.col("given"), scale),
    )  # fmt: skip


def _stripped(name: str) -> pl.Expr:
    bare = pl.col(name).str.strip_chars()
    return pl.when(bare != "").then(bare).alias(name)


def judged(rows: pl.DataFrame, faults: pl.DataFrame, scale: Mapping[str, float] | None) -> pl.DataFrame:
    """`rows` with the first fault of each: field, value and reason, null where it has none.

    faults: what the file's reader had against some of them, {row, field, value, reason}.
    """
    rules = _rules(rows["text"].is_not_null().any(), scale)
    first = pl.coalesce(pl.when(bad.fill_null(False)).then(pl.lit(n, pl.UInt8)) for n, (_, bad, _) in enumerate(rules))
    rows = rows.with_columns(rule=first)
    told = rows.filter(pl.col("rule").is_not_null()).select(
        "row",
        field=pl.coalesce(pl.when(rule=n).then(pl.lit(field)) for n, (field, _, _) in enumerate(rules)),
        value=pl.coalesce(pl.when(rule=n).then(shown(f)) for n, (f, _, _) in enumerate(rules)),
        reason=pl.coalesce(pl.when(rule=n).then(reason) for n, (_, _, reason) in enumerate(rules)),
    )  # fmt: skip
    both = pl.concat([faults, told]).unique("row", keep="first", maintain_order=True)
    return rows.drop("rule").join(both, on="row", how="left", maintain_order="left")


def shown(field: str) -> pl.Expr:
    """What stands in a field, as it is told again."""
    value = pl.col("given" if field == "rating" else field)
    return pl.when(value.str.len_chars() > SHOWN).then(value.str.head(SHOWN - 1) + "…").otherwise(value)


def listed(names: Iterable[str]) -> str:
    """Names, as many as a line can hold."""
    names = sorted(on_one_line(name) for name in names)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _rules(texts: bool, scale: Mapping[str, float] | None) -> list[tuple[str, pl.Expr, pl.Expr]]:
    """(field, whether it is bad, why), in the order in which they are told."""
    found = [("diary_id", pl.col("diary_id").is_null(), pl.lit("is empty"))]
    found += [_id("diary_id"), _id("rater_id"), ("rating", pl.col("rating").is_null(), _why(scale))]
    if texts:
        text = pl.col("text")
        found += [
            ("text", text.is_null(), pl.lit("is empty")),
            ("text", text.str.len_chars() > LONGEST_TEXT, pl.lit(f"has more than {LONGEST_TEXT:,} characters")),
            ("text", text.str.contains(_NO_TEXT), pl.lit("holds a control character")),
            _id("context_id"), _id("image_id"),
        ]  # fmt: skip
    time = pl.col("rated_at")
    why = pl.lit("is no time of ISO 8601: write 2026-05-01, or 2026-05-01T09:30:00+09:00")
    return [*found, ("rated_at", ~time.str.contains(_TIME), why)]


def _id(name: str) -> tuple[str, pl.Expr, pl.Expr]:
    value = pl.col(name)
    long = value.str.len_chars() > LONGEST_ID
    control, outside = value.str.contains(_CONTROL), value.str.contains(_OUTSIDE)
    why = (
        pl.when(long).then(pl.lit(f"has more than {LONGEST_ID} characters"))
        .when(control).then(pl.lit("holds a control character")).otherwise(pl.lit("is a path, and leads out of its folder"))
    )  # fmt: skip
    return name, long | control | outside, why


def _level(mark: pl.Expr, scale: Mapping[str, float] | None) -> pl.Expr:
    number = mark.cast(pl.Float64, strict=False)
    if scale is None:
        return pl.when(number.is_in(RATING_LEVELS)).then(number + 0.0)  # -0.0 is 0.0
    marks = pl.DataFrame({"mark": list(scale), "level": list(scale.values())}, schema_overrides={"level": pl.Float64})
    numbers = marks.with_columns(pl.col("mark").cast(pl.Float64, strict=False)).drop_nulls()
    return pl.coalesce(mark.replace_strict(*marks, default=None), number.replace_strict(*numbers, default=None))


def _why(scale: Mapping[str, float] | None) -> pl.Expr:
    given = pl.col("given")
    allowed = ", ".join(scale) if scale is not None else ", ".join(f"{level:g}" for level in RATING_LEVELS)
    helped = (
        pl.when(given.is_null()).then(pl.lit(UNRATED))
        .when(given.str.contains(r"^[-+]?\d*,\d+$")).then(pl.lit("is not a number: write a point, not a comma"))
        .when(given.str.contains("[０-９．，－＋]")).then(pl.lit("is not a number: write half-width digits"))
    )  # fmt: skip
    number = given.cast(pl.Float64, strict=False).is_not_null()
    if scale is not None:
        return helped.otherwise(pl.lit(f"is not one of {listed(scale)}, which the scale explains"))
    return helped.when(number).then(pl.lit(f"is not one of {allowed}")).otherwise(pl.lit("is not a number"))

"""From ratings and surrogates to one row for each diary."""

from __future__ import annotations

import polars as pl

from memozy.records import SIMULATED, InputError

ABOUT = ("diary_id", "context_id", "image_id", "prompt_id", "text")
CELLS = 50_000_000  # diaries times raters for which their model is fitted: 400 MB a table, and it holds a few


def rated(ratings: pl.DataFrame, diaries: pl.DataFrame, adjusted: bool) -> pl.DataFrame:
    """RATED rows, but for their places, of the diaries that people rated, in id order; RATINGS and DIARIES are given.

    adjusted: `rating` is what the whole panel would give, and `rating_variance` null, for what raters of one mean differ by
    says nothing of it. Raises InputError where that cannot be told.
    """
    by_diary = ratings.group_by("diary_id").agg(
        pl.col("rating").mean(),
        rating_variance=pl.col("rating").var(),
        n_raters=pl.len().cast(pl.Int64),
        simulated=(pl.col("source") == SIMULATED).any(),
    )
    if adjusted:
        by_diary = by_diary.drop("rating").join(_by_the_panel(ratings), on="diary_id")
        by_diary = by_diary.with_columns(rating_variance=pl.lit(None, pl.Float64))
    rows = diaries.select(ABOUT).join(by_diary, on="diary_id")
    return rows.with_columns(surrogate=pl.lit(False)).sort("diary_id")


def _by_the_panel(ratings: pl.DataFrame) -> pl.DataFrame:
    from memozy import raters

    item, rater = (ratings[name].rank("dense").to_numpy().astype(int) for name in ("diary_id", "rater_id"))
    if item.max() * rater.max() > CELLS:
        raise InputError(f"{rater.max()} raters of {item.max()} diaries are too many to adjust for",
                         file="split_data", field="aggregate", value="adjusted", remedy="Set it to 'mean'")  # fmt: skip
    try:
        _, means = raters.adjusted(ratings["rating"].to_numpy(), item, rater)
    except ValueError as error:
        raise InputError(str(error), file="split_data", field="aggregate", value="adjusted",
                         remedy="Rate more, or set it to 'mean'") from None  # fmt: skip
    return pl.DataFrame({"diary_id": ratings["diary_id"].unique().sort(), "rating": means.clip(-1, 1)})


def suggested(surrogates: pl.DataFrame, diaries: pl.DataFrame, people: pl.DataFrame, rule: bool) -> pl.DataFrame:
    """RATED rows, but for their places, of the diaries that only users' reactions tell of, in id order.

    SURROGATES, their DIARIES and the rows of people are given: where a diary has both, people win. rule: those of the
    plain rule count, too.
    """
    used = surrogates if rule else surrogates.filter(method="isotonic")
    rows = diaries.select(ABOUT).join(used.select("diary_id", "rating"), on="diary_id")
    return (
        rows.join(people, on="diary_id", how="anti")
        .sort("diary_id")
        .with_columns(
            rating_variance=pl.lit(None, pl.Float64),
            n_raters=pl.lit(0, pl.Int64),
            simulated=pl.lit(None, pl.Boolean),
            surrogate=pl.lit(True),
        )
    )

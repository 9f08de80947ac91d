import polars as pl

from components.auto_rate import showings
from components.auto_rate.calibration import Method, by_rule, counts, out_of_fold
from components.auto_rate.config import Config
from components.auto_rate.page import render
from components.auto_rate.quality import agreement
from memozy import records
from memozy.feedback import read_events
from memozy.records import SIMULATED
from memozy.stages import In, Out, Result


def run(config: Config, *, events: In, ratings: In, rated_diaries: In, surrogates: Out, auto_report: Out) -> Result:
    """Rate every draft that users reacted to by what they made of it.

    `surrogates` is a folder: surrogates.parquet (SURROGATES, one row for each diary, the mean over its showings) and
    diaries.parquet (DIARIES) with their texts. A kind of reaction that met with `min_calibration` drafts that people
    rated is worth what they said of those; another counts by the plain rule. `auto_report` (HTML) tells how good that is.
    """
    told, people = read_events(events), records.read(ratings, records.RATINGS)
    diaries = records.read(rated_diaries, records.DIARIES)
    rows, n_textless = showings.reacted(told, people, diaries, events)
    rated = rows.filter(pl.col("human").is_not_null())
    n_rated = counts(rows)
    learnt = frozenset(kind for kind, n in n_rated.items() if n >= config.min_calibration)
    method = Method.fit(rows, learnt)
    rows = rows.with_columns(pl.Series("surrogate", method.rate(rows)))
    rated = rated.with_columns(pl.Series("surrogate", out_of_fold(rated, learnt, config.folds, config.seed)))
    edited = rated.filter(pl.col("kind") == "edit")
    ruled = edited.with_columns(pl.Series("surrogate", by_rule(edited["similarity"].to_numpy())))
    quality = {
        name: agreement(*(part[column].to_numpy() for column in ("surrogate", "human", "text_id")), config.seed)
        for name, part in (("all", rated), ("edits", edited), ("edits, by the plain rule", ruled))
    }

    found = _by_diary(rows, learnt)
    surrogates.mkdir()
    records.write(found, surrogates / "surrogates.parquet", records.SURROGATES)
    records.write(showings.drafts(rows, diaries), surrogates / "diaries.parquet", records.DIARIES)
    page = render(config, rows, rated, method, n_rated, quality, n_diaries=len(found), n_textless=n_textless,
                  simulated=bool((people["source"] == SIMULATED).any()))  # fmt: skip
    auto_report.write_text(page, encoding="utf-8")
    return Result({
        "n_surrogates": len(found),
        **{f"n_{kind}": int((found["signal"] == kind).sum()) for kind in records.SURROGATES.fields["signal"].choices},
        "n_textless": n_textless,
        "n_calibration": rated["text_id"].n_unique(),
        **{name: figure.value for name, figure in (quality["all"] or {}).items()},
    })  # fmt: skip


def _by_diary(rows: pl.DataFrame, learnt: frozenset[str]) -> pl.DataFrame:
    """The mean over each diary's showings (SURROGATES), in id order. Its signal is the commonest, of equally common ones
    the first by name; it counts as calibrated where every reaction of it does."""
    return (
        rows.group_by("diary_id", maintain_order=True)  # sums in one order: the same events are the same bytes
        .agg(
            rating=pl.col("surrogate").mean(),
            signal=pl.col("kind").mode().min(),
            similarity=pl.col("similarity").mean(),
            method=pl.when(pl.col("kind").is_in(list(learnt)).all()).then(pl.lit("isotonic")).otherwise(pl.lit("rule")),
        )
        .with_columns(similarity=pl.when(pl.col("signal") == "edit").then("similarity"))
        .sort("diary_id")
    )

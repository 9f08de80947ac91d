from pathlib import Path

import polars as pl

from components.import_ratings.config import Config
from memozy import rating_files, records
from memozy.rating_files import RatingFiles
from memozy.rating_files.rules import UNRATED
from memozy.records import SIMULATED, InputError
from memozy.stages import In, Out, Result, Work

SET_ASIDE = "quarantine.jsonl"


def run(config: Config, *, diaries: In, contexts: In, ratings: Out, rated_diaries: Out, events: Out, quarantine: Out,
        work: Work) -> Result:  # fmt: skip
    """Take in ratings from files, or from the simulated panel, and what users made of what the app showed them.

    A file with a column `text` brings its own diaries (grouped by `context_id` and `image_id`, else each by
    itself); one without rates the diaries in `diaries`. Bad rows go to `quarantine`
    {file, row, field, value, reason}; more of them than `max_quarantined` stop the run, and are then left in `work`.
    Rows that nobody rated go there too, and stop nothing: a sheet need not be filled in to its end.
    """
    known = records.read(diaries, records.DIARIES)
    if config.path == SIMULATED:
        taken = _simulated(config, known, contexts, diaries)
    else:
        texts = dict(known.select("diary_id", "text").iter_rows())
        taken = rating_files.read(config.path, texts, scale=config.scale, allowed_hosts=config.allowed_hosts)
        _refuse_too_many(taken, config, work / SET_ASIDE)
    rated = _rated(taken, known)
    happened = _events(config, known)
    records.write(taken.ratings, ratings, records.RATINGS)
    records.write(rated, rated_diaries, records.DIARIES)
    records.write(happened, events, records.EVENTS)
    records.write_jsonl(taken.quarantine.iter_rows(named=True), quarantine)
    return Result(metrics={
        "n_ratings": taken.ratings.height,
        "n_diaries": rated.height,
        "n_raters": taken.ratings["rater_id"].n_unique(),
        "n_simulated": int((taken.ratings["source"] == SIMULATED).sum()),
        "n_repeated": taken.n_repeated,
        "n_quarantined": taken.quarantine.height,
        "n_unrated": int((taken.quarantine["reason"] == UNRATED).sum()),
        "n_events": happened.height,
    })  # fmt: skip


def _simulated(config: Config, diaries: pl.DataFrame, contexts: Path, file: Path) -> RatingFiles:
    from components.import_ratings import panel

    if diaries.is_empty():
        raise InputError("holds no rows", file=file, remedy="The panel needs diaries to rate")
    by_id = {row["context_id"]: row for row in records.read(contexts, records.CONTEXTS).to_dicts()}
    for number, diary in enumerate(diaries.to_dicts(), start=1):
        if diary["context_id"] not in by_id:
            raise InputError("no such context", file=file, row=number, field="context_id", value=diary["context_id"],
                             remedy=f"Every diary's context stands in {contexts}")  # fmt: skip
    try:
        rows = panel.rate(diaries.to_dicts(), by_id, config.raters_per_diary, config.double_rated, config.seed)
    except ValueError as error:
        raise InputError(str(error), file="import_ratings", field="raters_per_diary", value=config.raters_per_diary,
                         remedy="Ask for fewer") from None  # fmt: skip
    ratings = pl.DataFrame(rows, schema=records.RATINGS.dtypes)
    return RatingFiles(ratings, diaries.clear(), pl.DataFrame(schema=rating_files.QUARANTINE), ratings.height, 0)


def _refuse_too_many(taken: RatingFiles, config: Config, left: Path) -> None:
    bad = taken.quarantine.filter(pl.col("reason") != UNRATED)
    if taken.ratings.height and bad.height <= config.max_quarantined * taken.n_rows:
        return
    records.write_jsonl(taken.quarantine.iter_rows(named=True), left)
    bad = taken.quarantine if bad.is_empty() else bad
    first = bad.row(0, named=True)
    reasons = bad["reason"].str.replace("'.*", "…").value_counts(sort=True)  # whose name or id it is counts apart
    remedy = f"Bad rows: {bad.height} of {taken.n_rows}, all in {left}"
    if reasons.height > 1:
        remedy += f" ({', '.join(f'{n} × {reason}' for reason, n in reasons.head(3).iter_rows())})"
    remedy += "; mend them"
    if (bad["field"] == "rating").any():
        remedy += ", or explain other marks in import_ratings.scale"
    if taken.ratings.height:
        remedy += f", or raise import_ratings.max_quarantined ({config.max_quarantined:g})"
    raise InputError(first["reason"], file=first["file"], row=first["row"], field=first["field"], value=first["value"],
                     remedy=remedy)  # fmt: skip


def _rated(taken: RatingFiles, known: pl.DataFrame) -> pl.DataFrame:
    """The diaries that were rated. One that a file brought is the one of that id here if the texts agree, white space aside:
    then it is known which prompt wrote it."""
    ids = taken.ratings["diary_id"].unique().implode()
    here = known.filter(pl.col("diary_id").is_in(ids)).join(
        taken.diaries.select("diary_id", brought="text"), on="diary_id", how="left", maintain_order="left"
    )
    here = here.filter(pl.col("brought").is_null() | (pl.col("brought") == pl.col("text").str.strip_chars()))
    others = taken.diaries.join(here, on="diary_id", how="anti", maintain_order="left")
    return pl.concat([here.select(*records.DIARIES.fields), others])


def _events(config: Config, known: pl.DataFrame) -> pl.DataFrame:
    """EVENTS, of the log or the batches; none where neither is named. Of a showing that names one of the diaries here,
    context and photo are that diary's where the app didn't log them: else one photo could stand on both sides of a split."""
    if config.events is None and config.store is None:
        return pl.DataFrame(schema=records.EVENTS.dtypes)
    from memozy import feedback

    if config.store is not None:
        feedback.publish(config.store)
    about = known.select("diary_id", context="context_id", image="image_id")
    events = feedback.read_events(config.events or config.store)
    return events.join(about, on="diary_id", how="left", maintain_order="left").with_columns(
        pl.coalesce("context_id", "context"),
        pl.coalesce("image_id", "image"),
        pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
    )

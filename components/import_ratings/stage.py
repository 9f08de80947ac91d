from pathlib import Path

import polars as pl

from components.import_ratings import parse
from components.import_ratings.config import Config
from memozy import records, tables
from memozy.records import SIMULATED, InputError
from memozy.stages import In, Out, Result


def run(config: Config, *, diaries: In, contexts: In, ratings: Out, rated_diaries: Out, quarantine: Out) -> Result:
    """Take in ratings from a file, or from the simulated panel.

    A file with a column `text` brings its own diaries (grouped by `context_id` and `image_id`, else each by
    itself); one without rates the diaries in `diaries`. Bad rows go to `quarantine`
    {row, field, value, reason}; more of them than `max_quarantined` stop the run.
    """
    known = records.read(diaries, records.DIARIES)
    if config.path == SIMULATED:
        parsed = parse.Parsed(ratings=_simulated(config, known, contexts, diaries))
    else:
        rows = tables.read_ratings(config.path)
        parsed = parse.parse(rows, Path(config.path).name, set(known["diary_id"]))
        _refuse_too_many(parsed, len(rows), config)
        if parse.has_texts(rows):
            known = _own_diaries(parsed)
    taken = pl.DataFrame(parsed.ratings, schema=records.RATINGS.dtypes)
    rated = known.filter(pl.col("diary_id").is_in(taken["diary_id"].unique().implode()))
    records.write(taken, ratings, records.RATINGS)
    records.write(rated, rated_diaries, records.DIARIES)
    records.write_jsonl(parsed.quarantine, quarantine)
    return Result(metrics={
        "n_ratings": taken.height,
        "n_diaries": rated.height,
        "n_raters": taken["rater_id"].n_unique(),
        "n_simulated": int((taken["source"] == SIMULATED).sum()),
        "n_repeated": parsed.repeated,
        "n_quarantined": len(parsed.quarantine),
    })  # fmt: skip


def _simulated(config: Config, diaries: pl.DataFrame, contexts: Path, file: Path) -> list[dict]:
    from components.import_ratings import panel

    if diaries.is_empty():
        raise InputError("holds no rows", file=file, remedy="The panel needs diaries to rate")
    by_id = {row["context_id"]: row for row in records.read(contexts, records.CONTEXTS).to_dicts()}
    for number, diary in enumerate(diaries.to_dicts(), start=1):
        if diary["context_id"] not in by_id:
            raise InputError("no such context", file=file, row=number, field="context_id", value=diary["context_id"],
                             remedy=f"Every diary's context stands in {contexts}")  # fmt: skip
    try:
        return panel.rate(diaries.to_dicts(), by_id, config.raters_per_diary, config.double_rated, config.seed)
    except ValueError as error:
        raise InputError(str(error), file="import_ratings", field="raters_per_diary", value=config.raters_per_diary,
                         remedy="Ask for fewer") from None  # fmt: skip


def _refuse_too_many(parsed: parse.Parsed, n_rows: int, config: Config) -> None:
    bad = parsed.quarantine
    if parsed.ratings and len(bad) <= config.max_quarantined * n_rows:
        return
    first = bad[0]
    remedy = f"Bad rows: {len(bad)} of {n_rows}; mend them"
    if parsed.ratings:
        remedy += f" or raise import_ratings.max_quarantined ({config.max_quarantined:g})"
    raise InputError(first["reason"], file=config.path, row=first["row"], field=first["field"], value=first["value"],
                     remedy=remedy)  # fmt: skip


def _own_diaries(parsed: parse.Parsed) -> pl.DataFrame:
    rows = [
        {"diary_id": diary, **about, "prompt_id": "unknown", "generator": "unknown", "text": text, "cost_usd": 0.0,
         "created_at": rated_at or "unknown"}
        for diary, (about, text, rated_at) in parsed.texts.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=records.DIARIES.dtypes)

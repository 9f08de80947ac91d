import json
from pathlib import Path

import polars as pl

from components.validate_data import rules
from components.validate_data.config import Config
from memozy import records, reports, versions
from memozy.records import RATING_LEVELS, SIMULATED, InputError
from memozy.stages import In, Out, Result

EXAMPLES = 5  # exceptions shown for each rule


def run(config: Config, *, ratings: In, rated_diaries: In, validated: Out, version: Out, validation: Out) -> Result:
    """Check ratings and their diaries against the rules, and pin what passed as a version of the data set.

    `validated` holds ratings.parquet and diaries.parquet, in id order, so that the same records are the
    same version. A broken rule stops the run.
    """
    frames = {"ratings": _read(ratings), "diaries": _read(rated_diaries)}
    files = {"ratings": ratings, "diaries": rated_diaries}
    limits = rules.Limits(**config.model_dump(exclude={"remote"}))
    outcomes = rules.check(frames["ratings"], frames["diaries"], limits)
    for outcome in outcomes:
        if not outcome.passed:
            raise _error(outcome, frames[outcome.table], files[outcome.table])
    rated = frames["ratings"].sort("diary_id", "rater_id")
    records.write(rated, validated / "ratings.parquet", records.RATINGS)
    records.write(frames["diaries"].sort("diary_id"), validated / "diaries.parquet", records.DIARIES)
    pinned = {
        "version": versions.publish(validated, config.remote),
        "n_ratings": rated.height,
        "n_diaries": frames["diaries"].height,
        "classes": {f"{level:g}": int((rated["rating"] == level).sum()) for level in RATING_LEVELS},
        "simulated": bool((rated["source"] == SIMULATED).any()),
    }
    version.write_text(json.dumps(pinned, ensure_ascii=False), encoding="utf-8")
    exceptions = [
        {"rule": o.rule, "table": o.table, "row": row + 1, "column": o.column, "value": _value(frames[o.table], o, row)}
        for o in outcomes
        for row in o.rows[:EXAMPLES]
    ]
    template = Path(__file__).with_name("validation.html.j2")
    page = reports.page(template, version=pinned, outcomes=outcomes, exceptions=exceptions)
    validation.write_text(page, encoding="utf-8")
    return Result(metrics={
        "n_ratings": pinned["n_ratings"],
        "n_diaries": pinned["n_diaries"],
        "n_rules": len(outcomes),
        "n_exceptions": sum(o.broken for o in outcomes),
        **{f"n_rated_{level}": n for level, n in pinned["classes"].items()},
    })  # fmt: skip


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise InputError("is not a Parquet file", file=path, remedy="Give what import_ratings wrote") from error


def _value(frame: pl.DataFrame, outcome: rules.Outcome, row: int) -> object:
    return " + ".join(str(frame[column][row]) for column in outcome.column.split("+"))


def _error(outcome: rules.Outcome, frame: pl.DataFrame, file: Path) -> InputError:
    count = f" ({outcome.broken} of {outcome.checked} rows)" if outcome.rows else ""
    row = outcome.rows[0] if outcome.rows else None
    value = outcome.observed if row is None else _value(frame, outcome, row)
    return InputError(f"breaks the rule '{outcome.rule}'{count}", file=file, row=None if row is None else row + 1,
                      field=outcome.column, value=value,
                      remedy="Mend or add records, or relax the rule in validate_data's config")  # fmt: skip

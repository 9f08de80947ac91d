import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from components.validate_data.config import Config
from components.validate_data.findings import SCHEMAS, Findings, cast, look_at
from components.validate_data.page import render
from components.validate_data.rules import Outcome
from memozy import records, versions
from memozy.records import SIMULATED, InputError
from memozy.stages import In, Out, Result, Work

NAMED = 5  # rows that an error names
CHECKS, PAGE = "checks.json", "validation.html"


def run(config: Config, *, ratings: In, rated_diaries: In, surrogates: In, validated: Out, version: Out, checks: Out,
        validation: Out, work: Work) -> Result:  # fmt: skip
    """Check ratings, surrogates and their diaries against the rules, and pin what passed as a version of the data set.

    `validated` holds ratings, diaries, surrogates and surrogate_diaries, each .parquet and in id order, so that the same
    records are the same version. `checks` is what was found, as JSON without texts; `validation` the page on it.
    A broken rule stops the run; both are then left in `work`.
    """
    files = {"diaries": rated_diaries, "ratings": ratings, "surrogate diaries": surrogates / "diaries.parquet",
             "surrogates": surrogates / "surrogates.parquet"}  # fmt: skip
    found = look_at(
        {name: _read(path, SCHEMAS[name]) for name, path in files.items()}, files, config, _previous(config)
    )
    if found.failed:
        (work / CHECKS).write_text(_as_json(found, {}), encoding="utf-8")
        (work / PAGE).write_text(render(found, config, {}), encoding="utf-8")
        raise _error(found, found.failed[0], work / PAGE)
    given = {name: table.given for name, table in found.tables.items()}
    rated, diaries = given["ratings"].sort("diary_id", "rater_id"), given["diaries"].sort("diary_id")
    automatic = given.get("surrogates", pl.DataFrame(schema=records.SURROGATES.dtypes))
    drafts = given.get("surrogate diaries", pl.DataFrame(schema=records.DIARIES.dtypes))
    records.write(rated, validated / "ratings.parquet", records.RATINGS)
    records.write(diaries, validated / "diaries.parquet", records.DIARIES)
    records.write(automatic.sort("diary_id"), validated / "surrogates.parquet", records.SURROGATES)
    records.write(drafts.sort("diary_id"), validated / "surrogate_diaries.parquet", records.DIARIES)
    pinned = {
        "version": versions.publish(validated, config.remote),
        "n_ratings": rated.height,
        "n_diaries": diaries.height,
        "n_surrogates": automatic.height,
        "classes": dict(given["classes"].iter_rows()),
        "simulated": bool((rated["source"] == SIMULATED).any()),
    }
    version.write_text(json.dumps(pinned, ensure_ascii=False), encoding="utf-8")
    checks.write_text(_as_json(found, pinned), encoding="utf-8")
    validation.write_text(render(found, config, pinned), encoding="utf-8")
    return Result(metrics=_metrics(found, pinned))


def _read(path: Path, schema: records.Schema) -> pl.DataFrame:
    if not path.is_file():
        raise InputError("no such file", file=path, remedy="Give what the stage before wrote")
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise InputError("is not a Parquet file", file=path, remedy="Give what the stage before wrote") from error
    for name, dtype in schema.dtypes.items():
        if name in frame.columns and not _can_be(frame.select(name), schema):
            raise InputError(f"cannot be {dtype}", file=path, field=name, value=str(frame.schema[name]),
                             remedy=f"It should hold {schema.name}")  # fmt: skip
    return frame


def _can_be(column: pl.DataFrame, schema: records.Schema) -> bool:
    try:
        [found] = cast(column, schema).dtypes  # polars casts what stands in a struct, and leaves it one
    except pl.exceptions.PolarsError:
        return False
    return found == schema.dtypes[column.columns[0]]


def _previous(config: Config) -> dict[str, pl.DataFrame] | None:
    if config.previous is None:
        return None
    folder = Path(config.previous)
    return {"ratings": records.read(folder / "ratings.parquet", records.RATINGS),
            "diaries": records.read(folder / "diaries.parquet", records.DIARIES)}  # fmt: skip


def _as_json(found: Findings, pinned: Mapping) -> str:
    return json.dumps({"version": pinned.get("version"), **found.as_json()}, ensure_ascii=False, allow_nan=False)


def _metrics(found: Findings, pinned: Mapping) -> dict[str, float]:
    panel = found.panel
    return {
        "n_ratings": pinned["n_ratings"],
        "n_diaries": pinned["n_diaries"],
        "n_surrogates": pinned["n_surrogates"],
        "n_rules": len(found.outcomes),
        "n_exceptions": sum(outcome.broken for outcome in found.outcomes),
        "n_near_duplicates": len(found.pairs),
        "n_personal_data": sum(map(len, found.personal.values())),
        "n_random_raters": sum(rater.at_random for rater in panel.raters),
        **({} if panel.alpha is None else {"alpha": panel.alpha}),
        **{f"drift_{drift.of.split()[0]}": drift.divergence for drift in found.drifts},
        **{f"n_rated_{level}": n for level, n in pinned["classes"].items()},
    }


def _error(found: Findings, outcome: Outcome, page: Path) -> InputError:
    """The first broken rule in one line, with the rows that break it and where all others are told."""
    table, rule = found.tables[outcome.table], outcome.rule
    rows = outcome.rows[:NAMED]
    named = [f"{row + 1} {table.name_of(row)}" if table.file else table.name_of(row) for row in rows]
    more = ", …" if outcome.broken > len(rows) else ""
    count = f" ({outcome.broken} of {outcome.checked} rows: {', '.join(named)}{more})" if rows else ""
    others = f" and {len(found.failed) - 1} more" if len(found.failed) > 1 else ""
    change = f", or change validate_data.{rule.setting}" if rule.setting else ""
    return InputError(f"breaks the rule '{rule.words}'{count}{others}", file=table.file or table.name,
                      row=rows[0] + 1 if rows and table.file else None, field=rule.column,
                      value=found.value(outcome, rows[0]) if rows else outcome.observed,
                      remedy=f"Mend or add records{change}; all of it is in {page}")  # fmt: skip

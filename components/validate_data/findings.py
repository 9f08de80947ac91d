"""All that is found out about a data set: rules kept and broken, and what a person should see beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl

from components.validate_data import measures, rules
from components.validate_data.config import Config
from components.validate_data.panel import Panel, look
from components.validate_data.rules import Outcome, Table
from memozy import personal_data, records
from memozy.drift import Drift, rating_drift, text_drift

SCHEMAS = {"diaries": records.DIARIES, "ratings": records.RATINGS, "surrogate diaries": records.DIARIES,
           "surrogates": records.SURROGATES}  # fmt: skip
TEXTS = ("diaries", "surrogate diaries")
SHOWN = 5  # rows shown of each kind
LONGEST = 500  # characters shown of a text


@dataclass(frozen=True)
class Findings:
    """outcomes: of all rules, in the order in which a person should mend what is broken. All else is empty where a
    column is missing. tables: by name, as they go on, with masked texts where the setting says so. personal: table and
    kind -> the rows that hold such data. pairs: rows of diaries whose texts are the same, or nearly; n_compared: texts
    looked at for near ones, of which `copied` is the share that has a copy of either kind."""

    tables: Mapping[str, Table]
    outcomes: tuple[Outcome, ...]
    personal: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    pairs: tuple[tuple[int, int], ...] = ()
    n_compared: int = 0
    copied: float = 0.0
    drifts: tuple[Drift, ...] = ()
    panel: Panel | None = None

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.passed]

    def value(self, outcome: Outcome, row: int) -> str:
        """What a table holds where a row breaks a rule; a text without the personal data in it."""
        table = self.tables[outcome.table]
        return shown("+".join(str(table.given[each][row]) for each in outcome.rule.column.split("+")))

    def as_json(self) -> dict:
        """What a program may read of it: no text in it."""
        return {
            "passed": not self.failed,
            "rules": [
                {"table": o.table, "rule": o.rule.words, "column": o.rule.column, "setting": o.rule.setting, "passed": o.passed,
                 "checked": o.checked, "broken": o.broken, "observed": o.observed,
                 "rows": [{"row": row + 1, "id": self.tables[o.table].name_of(row)} for row in o.rows]}
                for o in self.outcomes
            ],
            "personal_data": [{"table": table, "kind": kind, "n": len(rows), "rows": [row + 1 for row in rows[:SHOWN]]}
                              for (table, kind), rows in self.personal.items()],
            "near_duplicates": {"compared": self.n_compared, "copied": self.copied, "pairs": len(self.pairs)},
            "drift": [asdict(drift) for drift in self.drifts],
            "raters": None if self.panel is None else asdict(self.panel),
        }  # fmt: skip


def look_at(frames: Mapping[str, pl.DataFrame], files: Mapping[str, Path], config: Config,
            previous: Mapping[str, pl.DataFrame] | None) -> Findings:  # fmt: skip
    """Check the tables of SCHEMAS. previous: ratings and diaries of the last version.

    Where a column is missing only the rules about columns are checked: the others could not say anything.
    """
    [columns] = _made("columns", measures.columns(frames, SCHEMAS), rules.of_columns(), "table", "column")
    there = rules.check([columns])
    if not all(outcome.passed for outcome in there):
        return Findings({columns.name: columns}, tuple(there))
    given, personal = dict(frames), {}
    for name in TEXTS:
        personal[name] = personal_data.find(given[name]["text"].cast(pl.String, strict=False))
        if config.personal_data == "mask":
            given[name] = _masked(given[name], personal[name])
    typed = {name: cast(frame, SCHEMAS[name]) for name, frame in given.items()}
    ratings, diaries, texts, surrogates = (typed[n] for n in ("ratings", "diaries", "surrogate diaries", "surrogates"))
    copies, pairs = measures.copied(diaries["text"], config.near_duplicate)
    drifts = () if previous is None else tuple(_drifts(ratings, diaries, previous))
    panel = look(ratings)

    def table(name: str, measured: pl.DataFrame, own: list[rules.Rule], *ids: str) -> Table:
        return Table(name, given[name], measured, ids, own, files[name])

    marked = measures.of_diaries(diaries, personal["diaries"], ratings["diary_id"]).hstack(copies)
    tables = [
        table("diaries", marked, [*rules.of_diaries(config, "rating"), *rules.of_the_rated(config)], "diary_id"),
        table("ratings", measures.of_ratings(ratings, diaries["diary_id"]), rules.of_ratings(), "diary_id", "rater_id"),
        *_made("classes", measures.classes(ratings), rules.of_classes(config), "level"),
        *_made("drift", measures.drifts(drifts, config.max_drift), rules.of_drift(config), "of"),
        *_made("raters", measures.raters(panel), rules.of_raters(config), "rater_id"),
    ]
    if surrogates.height or texts.height:
        backed = measures.of_diaries(texts, personal["surrogate diaries"], surrogates["diary_id"])
        of_surrogates = measures.of_surrogates(surrogates, texts["diary_id"])
        tables += [
            table("surrogate diaries", backed, rules.of_diaries(config, "surrogate"), "diary_id"),
            table("surrogates", of_surrogates, rules.of_surrogates(), "diary_id"),
        ]
    held = {(name, kind): tuple(found.filter(kind=kind)["row"].unique(maintain_order=True))
            for name, found in personal.items() for kind in personal_data.KINDS if kind in set(found["kind"])}  # fmt: skip
    return Findings({table.name: table for table in (columns, *tables)}, (*there, *rules.check(tables)), held, tuple(pairs),
                    copies["copied"].count(), copies["copied"].mean() or 0.0, drifts, panel)  # fmt: skip


def shown(value: object) -> str:
    """A value as people see it here: without the personal data in it, and its beginning where it is long."""
    whole = personal_data.masked(str(value)[: 2 * LONGEST])  # so that no number is cut, and then not known for one
    return whole if len(whole) <= LONGEST else whole[:LONGEST] + "…"


def _made(name: str, frame: pl.DataFrame, own: list[rules.Rule], *ids: str) -> Iterator[Table]:
    """A table that no file holds; none where it has no row."""
    if frame.height:
        yield Table(name, frame, frame, ids, own)


def cast(frame: pl.DataFrame, schema: records.Schema) -> pl.DataFrame:
    """The columns in their own types; a value that is not of it is null, as one that is not there.

    Raises polars' InvalidOperationError for a column of which no value could be.
    """
    return frame.with_columns(
        pl.col(name).cast(dtype, strict=False) for name, dtype in schema.dtypes.items() if name in frame.columns
    )


def _masked(frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    rows, texts = found["row"].unique(), frame["text"].cast(pl.String, strict=False)
    without = pl.Series([personal_data.masked(text) for text in texts.gather(rows)], dtype=pl.String)
    return frame.with_columns(texts.scatter(rows, without))


def _drifts(ratings: pl.DataFrame, diaries: pl.DataFrame, previous: Mapping[str, pl.DataFrame]) -> Iterator[Drift]:
    """Of the rows that the last version has not, against those that it has."""
    new = ratings.join(previous["ratings"], on=["diary_id", "rater_id"], how="anti")
    of_ratings = rating_drift(previous["ratings"], new)
    if of_ratings is not None:
        yield of_ratings
    texts = diaries.join(previous["diaries"], on="diary_id", how="anti")["text"]
    yield from text_drift(previous["diaries"]["text"], texts.drop_nulls())

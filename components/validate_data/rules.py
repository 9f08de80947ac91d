"""The rules of a data set, checked by Great Expectations.

Its own data docs put text into HTML unescaped and load scripts from elsewhere, so they are never built: it is given
numbers and flags only (`measures`), a result holds row numbers only, and `validation.html.j2` shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from components.validate_data.config import Config
from memozy import records

PERSONAL = {"stop": "", "mask": ", or it is masked", "allow": ", unless allowed"}


@dataclass(frozen=True)
class Rule:
    """words: what should hold. column: of the table as given, which an exception shows; None: it is about the whole.
    setting: what changes the rule. expectation: Great Expectations' name of it, and its arguments."""

    words: str
    column: str | None
    setting: str | None
    expectation: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """given: as it came, or was made here; measures: what the rules look at, a row for each of its rows; ids: its columns
    that name a row; file: where its rows come from, None where they were made here."""

    name: str
    given: pl.DataFrame
    measures: pl.DataFrame
    ids: tuple[str, ...]
    rules: Sequence[Rule]
    file: Path | None = None

    def name_of(self, row: int) -> str:
        """A row's id in one short line."""
        name = " ".join("+".join(str(self.given[column][row]) for column in self.ids).split())
        return name if len(name) <= 60 else name[:59] + "…"


@dataclass(frozen=True)
class Outcome:
    """What one rule found. rows: the first rows that break it, from 0; a rule with an allowance may
    pass all the same. observed: what a rule about the whole saw."""

    table: str
    rule: Rule
    passed: bool
    checked: int
    broken: int
    rows: tuple[int, ...]
    observed: object


def of_columns() -> list[Rule]:
    return [_flag("every column is there", "column", "there")]


def of_diaries(config: Config, backed_by: str) -> list[Rule]:
    """Of a table of texts; backed_by: what each must have, a rating or a surrogate."""
    lengths = f"text has {config.min_chars} to {config.max_chars} characters"
    hangul = f"at least {config.min_hangul:.0%} of a text's letters are Hangul, in {config.mostly:.0%} of the diaries"
    personal = f"no text holds personal data{PERSONAL[config.personal_data]}"
    return [
        *_presence(records.DIARIES),
        _flag("text is more than white space", "text", "visible"),
        _between(lengths, "text", "min_chars or max_chars", "chars", low=config.min_chars, high=config.max_chars),
        _between(hangul, "text", "min_hangul or mostly", "hangul", low=config.min_hangul, share=config.mostly),
        _flag(personal, "text", "personal", "personal_data", holds=False, share=float(config.personal_data == "stop")),
        _unique("diary_id is unique", "diary_id", "diary"),
        _flag(f"every diary has a {backed_by}", "diary_id", "backed"),
    ]


def of_the_rated(config: Config) -> list[Rule]:
    """Of the rated diaries, beyond those of any texts."""
    copies = f"at most {config.max_near_duplicates:.0%} of the texts are another diary's"
    count = {"min_value": config.min_diaries}
    return [
        *(_flag(copies + more, "text", flag, "max_near_duplicates", holds=False, share=1 - config.max_near_duplicates)
          for flag, more in (("equal", ""), ("copied", ", or nearly"))),
        Rule(f"at least {config.min_diaries} diaries", None, "min_diaries", "ExpectTableRowCountToBeBetween", count),
    ]  # fmt: skip


def of_ratings() -> list[Rule]:
    levels = ", ".join(f"{level:g}" for level in records.RATING_LEVELS)
    allowed = {"column": "rating", "value_set": list(records.RATING_LEVELS)}
    return [
        *_presence(records.RATINGS),
        Rule(f"rating is one of {levels}", "rating", None, "ExpectColumnValuesToBeInSet", allowed),
        _unique("one rating a diary and rater", "diary_id+rater_id", "diary", "rater"),
        _flag("every rating has its diary", "diary_id", "backed"),
        Rule("at least 2 different ratings", None, None, "ExpectColumnUniqueValueCountToBeBetween", {"column": "rating", "min_value": 2}),
    ]  # fmt: skip


def of_surrogates() -> list[Rule]:
    return [
        *_presence(records.SURROGATES),
        _between("rating is from -1 to 1", "rating", None, "rating", low=-1, high=1),
        *(_flag(f"{name} is one of {', '.join(f.choices)}", name, f"{name} is known")
          for name, f in records.SURROGATES.fields.items() if f.choices),
        _unique("diary_id is unique", "diary_id", "diary"),
        _flag("every surrogate has its diary", "diary_id", "backed"),
    ]  # fmt: skip


def of_classes(config: Config) -> list[Rule]:
    words = f"at least {config.min_per_class} ratings at every level"
    return [_between(words, "n", "min_per_class", "n", low=config.min_per_class)] if config.min_per_class else []


def of_drift(config: Config) -> list[Rule]:
    words = f"what is new differs from the last version by at most {config.max_drift:g} bits"
    return [_flag(words, "divergence", "beyond", "max_drift", holds=False)]


def of_raters(config: Config) -> list[Rule]:
    told = "" if config.random_raters == "stop" else ", or is named"
    return [_flag(f"no rater answers at random{told}", "rater_id", "at_random", "random_raters", holds=False,
                  share=float(config.random_raters == "stop"))]  # fmt: skip


def _presence(schema: records.Schema) -> list[Rule]:
    return [_flag(f"{name} is there", name, f"has {name}") for name, f in schema.fields.items() if not f.nullable]


def _flag(
    words: str, column: str | None, flag: str, setting: str | None = None, *, holds: bool = True, share: float = 1.0
) -> Rule:
    """At least `share` of the rows have the flag, or with holds=False have it not."""
    return Rule(
        words, column, setting, "ExpectColumnValuesToBeInSet", {"column": flag, "value_set": [holds], "mostly": share}
    )


def _unique(words: str, column: str, *measures: str) -> Rule:
    if len(measures) > 1:
        return Rule(words, column, None, "ExpectCompoundColumnsToBeUnique", {"column_list": list(measures)})
    return Rule(words, column, None, "ExpectColumnValuesToBeUnique", {"column": measures[0]})


def _between(words: str, column: str, setting: str | None, measure: str, *, low: float, high: float | None = None,
             share: float = 1.0) -> Rule:  # fmt: skip
    arguments = {"column": measure, "min_value": low, "max_value": high, "mostly": share}
    return Rule(words, column, setting, "ExpectColumnValuesToBeBetween", arguments)


def check(tables: Sequence[Table]) -> list[Outcome]:
    """What every rule of every table found, in their order. Raises RuntimeError where a rule can't be checked."""
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    outcomes = []
    for table in tables:
        batch = context.data_sources.pandas_default.read_dataframe(table.measures.to_pandas())
        suite = gx.ExpectationSuite(name=table.name, expectations=[
            getattr(gxe, rule.expectation)(**rule.arguments, meta={"rule": number})  # results come in an order of their own
            for number, rule in enumerate(table.rules)
        ])  # fmt: skip
        found = batch.validate(suite, result_format={"result_format": "SUMMARY", "exclude_unexpected_values": True})
        by_rule = {result.expectation_config.meta["rule"]: result for result in found.results}
        outcomes += [_outcome(table, rule, by_rule[number]) for number, rule in enumerate(table.rules)]
    return outcomes


def _outcome(table: Table, rule: Rule, result) -> Outcome:
    if result.exception_info and any(e.get("exception_message") for e in _exceptions(result.exception_info)):
        raise RuntimeError(f"the rule '{rule.words}' could not be checked: {result.exception_info}")
    found = result.result
    return Outcome(
        table=table.name, rule=rule, passed=bool(result.success),
        checked=found.get("element_count", table.measures.height) - found.get("missing_count", 0),
        broken=int(found.get("unexpected_count", 0 if result.success else 1)),
        rows=tuple(int(row) for row in found.get("partial_unexpected_index_list", ())),
        observed=found.get("observed_value"),
    )  # fmt: skip


def _exceptions(info: dict) -> list[dict]:
    """One exception's fields, or those of several metrics by their names: GX returns either."""
    return [info] if "exception_message" in info else list(info.values())

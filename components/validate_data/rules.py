"""The rules of a rated data set, checked by Great Expectations.

Its own data docs put text into HTML unescaped and load scripts from elsewhere, so they are never
built: a result holds row numbers only, and `validation.html.j2` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from memozy import records


@dataclass(frozen=True)
class Limits:
    """See `config.Config`."""

    min_diaries: int
    min_chars: int
    max_chars: int
    min_hangul: float
    mostly: float


@dataclass(frozen=True)
class Outcome:
    """What one rule found. rows: the first rows that break it, from 0; a rule with an allowance may
    pass all the same. column: None where the rule is about the table. observed: what a table rule saw."""

    table: str
    rule: str
    column: str | None
    passed: bool
    checked: int
    broken: int
    rows: tuple[int, ...]
    observed: object


def check(ratings: pl.DataFrame, diaries: pl.DataFrame, limits: Limits) -> list[Outcome]:
    """All rules in the order in which a person should mend them: presence first, then values, then the whole.

    Where a column is missing only the rules about presence are checked: the others could not say anything.
    """
    tables = {"diaries": (diaries, records.DIARIES), "ratings": (ratings, records.RATINGS)}
    outcomes = _run({name: (frame, _presence(schema)) for name, (frame, schema) in tables.items()})
    if not all(outcome.passed for outcome in outcomes):
        return outcomes
    marked = diaries.with_columns(
        hangul=hangul_share(diaries["text"]), rated=diaries["diary_id"].is_in(ratings["diary_id"].implode())
    )
    rules = {
        "diaries": (marked, _diary_rules(limits)),
        "ratings": (ratings, _rating_rules(diaries["diary_id"].to_list())),
    }
    return outcomes + _run(rules)


def hangul_share(texts: pl.Series) -> pl.Series:
    """The share of each text's letters that are Hangul, syllables or jamo, in [0, 1]; 0 without letters."""
    letters, hangul = texts.str.count_matches(r"\pL"), texts.str.count_matches(r"\p{Hangul}")
    return pl.select(pl.when(letters > 0).then(hangul / letters).otherwise(0.0)).to_series()


def _presence(schema: records.Schema) -> list:
    import great_expectations.expectations as gxe

    return [
        (f"has the column '{name}'", name, gxe.ExpectColumnToExist(column=name))
        for name, f in schema.fields.items()
        if not f.nullable
    ]


def _diary_rules(limits: Limits) -> list:
    import great_expectations.expectations as gxe

    return [
        ("text is there", "text", gxe.ExpectColumnValuesToNotBeNull(column="text")),
        ("text is more than white space", "text", gxe.ExpectColumnValuesToMatchRegex(column="text", regex=r"\S")),
        (
            f"text has {limits.min_chars} to {limits.max_chars} characters",
            "text",
            gxe.ExpectColumnValueLengthsToBeBetween(
                column="text", min_value=limits.min_chars, max_value=limits.max_chars
            ),
        ),
        (
            f"at least {limits.min_hangul:.0%} of a text's letters are Hangul, in {limits.mostly:.0%} of the diaries",
            "text",
            gxe.ExpectColumnValuesToBeBetween(column="hangul", min_value=limits.min_hangul, mostly=limits.mostly),
        ),
        ("diary_id is unique", "diary_id", gxe.ExpectColumnValuesToBeUnique(column="diary_id")),
        ("every diary has a rating", "diary_id", gxe.ExpectColumnValuesToBeInSet(column="rated", value_set=[True])),
        (
            f"at least {limits.min_diaries} diaries",
            None,
            gxe.ExpectTableRowCountToBeBetween(min_value=limits.min_diaries),
        ),
    ]


def _rating_rules(diary_ids: list[str]) -> list:
    import great_expectations.expectations as gxe

    levels = ", ".join(f"{level:g}" for level in records.RATING_LEVELS)
    return [
        ("rating is there", "rating", gxe.ExpectColumnValuesToNotBeNull(column="rating")),
        (
            f"rating is one of {levels}",
            "rating",
            gxe.ExpectColumnValuesToBeInSet(column="rating", value_set=list(records.RATING_LEVELS)),
        ),
        (
            "one rating a diary and rater",
            "diary_id+rater_id",
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["diary_id", "rater_id"]),
        ),
        (
            "every rating has its diary",
            "diary_id",
            gxe.ExpectColumnValuesToBeInSet(column="diary_id", value_set=diary_ids),
        ),
        (
            "at least 2 different ratings",
            None,
            gxe.ExpectColumnUniqueValueCountToBeBetween(column="rating", min_value=2),
        ),
    ]


def _run(tables: dict[str, tuple[pl.DataFrame, list]]) -> list[Outcome]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    outcomes = []
    for table, (frame, rules) in tables.items():
        source = context.data_sources.add_pandas(table).add_dataframe_asset(table)
        batch = source.add_batch_definition_whole_dataframe(table).get_batch({"dataframe": frame.to_pandas()})
        for number, (_, _, expectation) in enumerate(rules):
            expectation.meta = {"rule": number}  # results come back in an order of their own
        suite = gx.ExpectationSuite(name=table, expectations=[expectation for *_, expectation in rules])
        found = batch.validate(suite, result_format={"result_format": "SUMMARY", "exclude_unexpected_values": True})
        by_rule = {result.expectation_config.meta["rule"]: result for result in found.results}
        outcomes += [_outcome(table, rule, column, by_rule[n], frame) for n, (rule, column, _) in enumerate(rules)]
    return outcomes


def _outcome(table: str, rule: str, column: str | None, result, frame: pl.DataFrame) -> Outcome:
    if result.exception_info and any(e.get("exception_message") for e in _exceptions(result.exception_info)):
        raise RuntimeError(f"the rule '{rule}' could not be checked: {result.exception_info}")
    found = result.result
    broken = found.get("unexpected_count", 0 if result.success else 1)
    return Outcome(
        table=table, rule=rule, column=column, passed=bool(result.success),
        checked=found.get("element_count", frame.height), broken=int(broken),
        rows=tuple(int(row) for row in found.get("partial_unexpected_index_list", ())),
        observed=found.get("observed_value"),
    )  # fmt: skip


def _exceptions(info: dict) -> list[dict]:
    """One exception's fields, or those of several metrics by their names: GX returns either."""
    return [info] if "exception_message" in info else list(info.values())

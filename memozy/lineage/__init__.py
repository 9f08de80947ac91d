"""From a model back to the rows and ratings it was made of, and from a rater or a diary to what was made of them.

`registry` asks the tracking store, `folders` a run's folder; what they find is an Origin. Here is what both have in
common, and the arithmetic on rows, which knows neither.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from memozy.records import RATING_LEVELS
from memozy.versions.changes import DataSet

ROWS = ("kind", "diary_id", "rater_id", "rating", "source", "rated_at", "signal", "similarity", "method", "split",
        "context_id", "image_id", "prompt_id", "generator", "created_at", "text")  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A stage that ran: the digests of its inputs (SHA-256; of the tracking store its first 36 digits) and its settings, flat."""

    stage: str
    inputs: Mapping[str, str]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Origin:
    """What a model, a prompt or a run comes from.

    name: what was asked for; version: of its data; run: the pipeline run's name; folder: where that run left its stages,
    on the machine it ran on; remote: where the data was pushed, "" nowhere; tags: what the registry says of it.
    """

    name: str
    version: str
    run: str = ""
    folder: Path | None = None
    remote: str = ""
    steps: tuple[Step, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def given(steps: Sequence[Step]) -> list[dict[str, str]]:
    """The files that people gave to a run: stage, setting, place and digest of each; those that ratings came from first."""
    found = [
        {"stage": step.stage, "setting": setting, "place": _place(step.settings, setting), "sha256": digest}
        for step in steps for name, digest in step.inputs.items()
        if (setting := name.removeprefix("config.")) != name
    ]  # fmt: skip
    return sorted(found, key=lambda each: (each["stage"] != "import_ratings", each["stage"], each["setting"]))


def _place(settings: Mapping[str, Any], setting: str) -> str:
    """The value of a setting; `path.1` is the second of `path`, which the tracking store keeps as text."""
    if setting in settings:
        return str(settings[setting])
    name, _, number = setting.rpartition(".")
    several = settings.get(name, ())
    several = ast.literal_eval(several) if isinstance(several, str) else several
    return str(several[int(number)]) if number.isdigit() and int(number) < len(several) else ""


def count(data: DataSet) -> dict[str, Any]:
    """How many rows of each kind: ratings by level, source and rater; surrogates by what a user did and by method."""

    def by(frame: pl.DataFrame, column: str) -> dict[str, int]:
        return dict(sorted(frame[column].value_counts().iter_rows()))

    levels = by(data.ratings, "rating")
    return {
        "diaries": data.diaries.height, "ratings": data.ratings.height,
        "classes": {f"{level:g}": levels.get(level, 0) for level in RATING_LEVELS},
        "sources": by(data.ratings, "source"), "raters": by(data.ratings, "rater_id"),
        "surrogates": data.surrogates.height, "signals": by(data.surrogates, "signal"), "methods": by(data.surrogates, "method"),
    }  # fmt: skip


def rows(data: DataSet, splits: pl.DataFrame | None, pulls: pl.DataFrame | None) -> pl.DataFrame:
    """Every rating, surrogate and rating of the evaluation as a row of ROWS, with the text it is about; in a fixed order.

    splits: {diary_id, split}, where it is known; of a diary that was set aside or not is no split known.
    pulls: the evaluation's (records.PULLS), where it is known.
    """
    texts = pl.concat([data.diaries, data.surrogate_diaries]).unique("diary_id", keep="first")
    parts = [data.ratings.with_columns(kind=pl.lit("rating")), data.surrogates.with_columns(kind=pl.lit("surrogate"))]
    found = pl.concat(parts, how="diagonal").join(texts.drop("cost_usd"), on="diary_id", how="left")
    if splits is not None:
        found = found.join(splits.select("diary_id", "split"), on="diary_id", how="left")
    if pulls is not None:
        written = pulls.filter(pl.col("rater_id").is_null()).select("prompt_id", "context_id", "text")
        judged = pulls.filter(pl.col("rater_id").is_not_null()).drop("text").join(written, on=["prompt_id", "context_id"], how="left")
        judged = judged.select(
            "prompt_id", "context_id", "rater_id", "text", kind=pl.lit("evaluation"), rating="human_rating", source="rating_source"
        )
        found = pl.concat([found, judged], how="diagonal")
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in ROWS if name not in found.columns]
    return found.with_columns(absent).select(ROWS).sort("kind", "diary_id", "prompt_id", "context_id", "rater_id", nulls_last=True)


def about(found: pl.DataFrame, rater: str | None, diary: str | None) -> pl.DataFrame:
    """Those of `rows` that a rater gave, or that are about a diary."""
    return found.filter((pl.col("rater_id") == rater) if rater is not None else (pl.col("diary_id") == diary))

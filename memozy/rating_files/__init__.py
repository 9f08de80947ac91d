"""Files of ratings, whoever wrote them: what can be believed of them, and what is set aside with its place and reason.

A row is one person's rating of one diary: `diary_id`, `rating` and, where the file tells them, `rater_id`, `rated_at`,
`text`, `context_id`, `image_id` and `source`. Label Studio's and Argilla's exports are read as such rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from memozy import storage, tables
from memozy.rating_files import rules
from memozy.rating_files.exports import flatten
from memozy.records import DIARIES, RATINGS, SIMULATED, InputError

COLUMNS = ("diary_id", "rater_id", "rating", "rated_at", "source", "context_id", "image_id", "text")
QUARANTINE = {"file": pl.String, "row": pl.UInt32, "field": pl.String, "value": pl.String, "reason": pl.String}
ANONYMOUS = "rater-1"  # who rated, where a single file does not say; of several each is its own rater's
Step = Callable[[pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]  # rows -> the good ones, the others with their fault
_TEXTS = {"diary_id": pl.String, "here": pl.String}
NAMED = 4  # of the ratings by which someone contradicts themselves, the first ones are named


@dataclass(frozen=True)
class RatingFiles:
    """ratings (RATINGS), in the files' order; diaries (DIARIES): what those with texts bring, where it was rated;
    quarantine {file, row, field, value, reason}, rows from 1, headers and blank lines not counted.

    n_rows: of all files; each is a rating, one of the n_repeated that said nothing new, or in quarantine.
    """

    ratings: pl.DataFrame
    diaries: pl.DataFrame
    quarantine: pl.DataFrame
    n_rows: int
    n_repeated: int


def read(places: str | Path | Sequence[str | Path], known: Mapping[str, str] | None = None, *,
         scale: Mapping[str, float] | None = None, allowed_hosts: Collection[str] = ()) -> RatingFiles:  # fmt: skip
    """Read the files at one or several places (see `memozy.storage.fetch`); of a folder, all that stand in it.

    known: the texts of the diaries that may be rated without one, by id; None: any may. A file with texts brings its
    diaries along; where it brings another text than the known one, it is not known which of the two a row without means.
    scale: what a file's marks mean in levels, where it has others. Rows of several files that name no rater are of raters
    named as the files. A row that repeats a rating is counted and dropped; of a rater who contradicts themselves every
    row on that diary is set aside, since nobody knows which one is meant. Raises InputError for a file that is missing,
    unreadable or empty, or has no column `diary_id` or `rating`.
    """
    with TemporaryDirectory(prefix="memozy-ratings-") as scratch:
        files = []
        for number, place in enumerate([places] if isinstance(places, str | Path) else places):
            local = storage.fetch(str(place), Path(scratch) / str(number), allowed_hosts)
            for file in _files(local, place):
                named = str(place) if file == local else f"{str(place).rstrip('/')}/{file.relative_to(local)}"
                files.append((file, storage.shown(named)))
        names = [named for _, named in files]
        rows = pl.concat(_judged(file, named, _rater(named, names), scale) for file, named in files)
    rows = rows.with_row_index("place")
    good, aside = rows.filter(pl.col("reason").is_null()), [rows.filter(pl.col("reason").is_not_null())]
    brought = good.filter(pl.col("text").is_not_null()).filter(pl.col("diary_id").is_first_distinct())
    for step in (_one_text(brought), _no_strangers(brought, known), _no_contradictions):
        good, bad = step(good)
        aside.append(bad)
    once = good.filter(pl.struct("diary_id", "rater_id").is_first_distinct())
    diaries = _diaries(brought.filter(pl.col("diary_id").is_in(once["diary_id"].unique().implode())))
    quarantine = pl.concat(aside).sort("place").select(*QUARANTINE)
    return RatingFiles(once.select(*RATINGS.fields), diaries, quarantine, rows.height, good.height - once.height)


def _files(local: Path, place: str | Path) -> list[Path]:
    if local.is_file():
        return [local]
    files = sorted(p for p in local.iterdir() if p.is_file() and p.name[0] != ".")
    if not files:
        raise InputError("holds no file", file=place, remedy="Give a ratings file, or a folder of them")
    return files


def _rater(named: str, files: Sequence[str]) -> str:
    """Who rated where a file doesn't say. Files of one name in several folders are told apart by these."""
    if len(files) == 1:
        return ANONYMOUS
    file, stems = Path(named), [Path(other).stem for other in files]
    return file.stem if stems.count(file.stem) == 1 else f"{file.parent.name}-{file.stem}"


def _judged(path: Path, named: str, rater: str, scale: Mapping[str, float] | None) -> pl.DataFrame:
    """The rows of one file, each with the first fault it has (field, value, reason; null where there is none)."""
    try:
        table = tables.read(path, COLUMNS, flatten)
    except InputError as error:  # which knows the file by the name of a copy
        if str(path) == named:
            raise
        raise InputError(str(error).removeprefix(str(path)).lstrip(":, "), file=named) from None
    for name in ("diary_id", "rating"):
        if table.columns and name not in table.columns:
            raise InputError("column is missing", file=named, field=name,
                             remedy=f"The file has: {rules.listed(table.columns)}")  # fmt: skip
    if not table.n_rows:
        raise InputError("holds no rows", file=named, remedy="Give at least one rating")
    absent = set(COLUMNS) - set(table.rows.columns)
    nothing = [pl.repeat(None, table.n_rows, dtype=pl.String).alias(name) for name in absent]
    rows = rules.tidied(table.rows.with_columns(nothing), scale)
    rows = rows.with_columns(
        file=pl.lit(named),
        row=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32),
        rater_id=pl.col("rater_id").fill_null(rater),
        # simulated ratings stay marked, whatever files they have been through
        source=pl.when(pl.col("source") == SIMULATED).then(pl.lit(SIMULATED)).otherwise(pl.lit(Path(named).name)),
    )  # fmt: skip
    return rules.judged(rows, table.faults, scale).select(*COLUMNS, "given", *QUARANTINE)


def _split(rows: pl.DataFrame, bad: pl.Expr, field: str, reason: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The good rows, and the bad ones with their fault."""
    marked = rows.with_columns(bad=bad.fill_null(False))
    faulty = marked.filter("bad").with_columns(field=pl.lit(field), value=rules.shown(field), reason=reason)
    return marked.filter(~pl.col("bad")).drop("bad"), faulty.drop("bad")


def _one_text(brought: pl.DataFrame) -> Step:
    """A diary has one text, one context and one photo: those of the row that brought it."""
    about = ("text", "context_id", "image_id")
    first = brought.select("diary_id", *(pl.col(column).alias(f"first_{column}") for column in about))

    def step(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        good, aside = rows.join(first, on="diary_id", how="left", maintain_order="left"), []
        for column in about:
            said, meant = pl.col(column), pl.col(f"first_{column}")
            differs = said.is_not_null() & said.ne_missing(meant)
            why = pl.format(f"is not the {column} that diary '{{}}' has in an earlier row", "diary_id")
            good, bad = _split(good, pl.col("text").is_not_null() & differs, column, why)
            aside.append(bad.select(rows.columns))
        return good.select(rows.columns), pl.concat(aside)

    return step


def _no_strangers(brought: pl.DataFrame, known: Mapping[str, str] | None) -> Step:
    """What is rated without its text is one of the known diaries, or stands in another file, and not both with two texts."""

    def step(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        if known is None:
            return rows, rows.clear()
        here = pl.DataFrame({"diary_id": list(known), "here": list(known.values())}, schema_overrides=_TEXTS)
        texts = here.join(brought.select("diary_id", there="text"), on="diary_id", how="full", coalesce=True)
        marked = rows.join(texts.with_columns(met=True), on="diary_id", how="left", maintain_order="left")
        bare = pl.col("text").is_null()
        good, strange = _split(marked, bare & pl.col("met").is_null(), "diary_id", pl.lit("no such diary"))
        differ = pl.col("here").str.strip_chars() != pl.col("there")
        why = pl.lit("may be the run's diary of this id or the one of another text that a file brings: give the text")
        good, torn = _split(good, bare & differ, "diary_id", why)
        return good.select(rows.columns), pl.concat([strange, torn]).select(rows.columns)

    return step


def _no_contradictions(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    key = ["diary_id", "rater_id"]
    several = rows.filter(pl.struct(key).is_duplicated())
    place = pl.format("{} in row {}", "given", "row")
    if several["file"].n_unique() > 1:
        place = pl.format("{} in row {} of {}", "given", "row", "file")
    said = (
        several.with_columns(said=place).group_by(key)
        .agg(pl.col("said").head(NAMED).str.join(" and "), levels=pl.col("rating").n_unique(), more=pl.len() > NAMED)
        .filter(pl.col("levels") > 1).drop("levels")
    )  # fmt: skip
    told = pl.format("rater '{}' contradicts themselves: {}{}", "rater_id", "said",
                     pl.when("more").then(pl.lit(" …")).otherwise(pl.lit("")))  # fmt: skip
    marked = rows.join(said, on=key, how="left", maintain_order="left")
    good, bad = _split(marked, pl.col("said").is_not_null(), "rating", told)
    return good.select(rows.columns), bad.select(rows.columns)


def _diaries(brought: pl.DataFrame) -> pl.DataFrame:
    unknown = pl.lit("unknown")
    return brought.select(
        "diary_id", pl.col("context_id").fill_null(pl.col("diary_id")), "image_id", prompt_id=unknown, generator=unknown,
        text="text", cost_usd=pl.lit(0.0), created_at=pl.col("rated_at").fill_null(unknown),
    ).select(*DIARIES.fields)  # fmt: skip

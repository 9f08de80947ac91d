"""The record schemas at which stages meet: columns, types, ranges and meaning, each declared once.

Between stages records are Parquet; files that people write or read are JSONL or CSV. Reading checks
every value, and what is wrong is said with file, row, field, value and remedy (`InputError`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

RATING_LEVELS = (-1.0, -0.5, 0.0, 0.5, 1.0)
SLOTS = ("place", "people", "mood", "photo")
SIMULATED = "simulated"  # the `source` of every rating that no human gave


def nearest_level(rating: float) -> float:
    """The rating level nearest to a mean rating in [-1, 1]; of two equally near the lower one."""
    return min(RATING_LEVELS, key=lambda level: (abs(level - rating), level))


class InputError(ValueError):
    """What a person gave us is wrong. Its one line names the place and the remedy; nothing was written."""

    def __init__(self, problem: str, *, file: object = None, row: int | None = None, field: str | None = None,
                 value: object = None, remedy: str = "") -> None:  # fmt: skip
        where = [str(file)] if file is not None else []
        where += [f"row {row}"] if row is not None else []
        where += [f"field '{field}'"] if field is not None else []
        where += [f"value {_short(value)}"] if value is not None else []
        super().__init__(": ".join(filter(None, [", ".join(where), problem])) + (f". {remedy}" if remedy else ""))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


@dataclass(frozen=True)
class Field:
    """One column. low/high are inclusive bounds, choices a closed set; a nullable field may be absent."""

    dtype: type[pl.DataType] | pl.DataType
    meaning: str
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple | None = None


@dataclass(frozen=True)
class Schema:
    """A kind of record. `key`: the columns that are unique together; none: rows may repeat."""

    name: str
    key: tuple[str, ...]
    fields: dict[str, Field]

    @property
    def dtypes(self) -> dict[str, pl.DataType]:
        return {name: f.dtype for name, f in self.fields.items()}


_ID = Field(pl.String, "stable identifier, never reused")
_TEXT = Field(pl.String, "the text itself")
_PHOTO = Field(pl.String, "the photo it is about; none: the context has no other's", nullable=True)

CONTEXTS = Schema("contexts", ("context_id",), {
    "context_id": _ID,
    "image_id": _PHOTO,
    "image_path": Field(pl.String, "the photo, where there is one", nullable=True),
    "place": Field(pl.String, "where it was taken"),
    "people": Field(pl.String, "who was along"),
    "mood": Field(pl.String, "how the writer felt"),
    "photo": Field(pl.String, "what the photo shows, in a few words", nullable=True),
})  # fmt: skip

ARMS = Schema("arms", ("prompt_id",), {
    "prompt_id": _ID,
    "template": Field(pl.String, "the prompt, with a slot in braces for every context field it uses"),
    "parent_prompt_id": Field(pl.String, "the prompt it was made from", nullable=True),
    "origin": Field(pl.String, "who wrote it: incumbent, history, sft, best_of_n, ppo, llm:<model>"),
})  # fmt: skip

DIARIES = Schema("diaries", ("diary_id",), {
    "diary_id": _ID,
    "context_id": _ID,
    "image_id": _PHOTO,
    "prompt_id": _ID,
    "generator": Field(pl.String, "the model that wrote it"),
    "text": _TEXT,
    "cost_usd": Field(pl.Float64, "what the call cost, US dollars", low=0),
    "created_at": Field(pl.String, "ISO 8601, UTC"),
})  # fmt: skip

RATINGS = Schema("ratings", ("diary_id", "rater_id"), {
    "diary_id": _ID,
    "rater_id": _ID,
    "rating": Field(pl.Float64, "the human's level", choices=RATING_LEVELS),
    "source": Field(pl.String, f"the file it came from, or '{SIMULATED}'"),
    "rated_at": Field(pl.String, "ISO 8601, UTC", nullable=True),
})  # fmt: skip

SURROGATES = Schema("surrogates", ("diary_id",), {
    "diary_id": _ID,
    "rating": Field(pl.Float64, "what people would rate the draft, by what a user made of it; no human's rating", low=-1, high=1),
    "signal": Field(pl.String, "what the user did with it", choices=("like", "dislike", "regenerate", "edit")),
    "similarity": Field(pl.Float64, "of draft and final text; of an edit", nullable=True, low=0, high=1),
    "method": Field(pl.String, "the plain rule, or isotonic: calibrated on human ratings", choices=("rule", "isotonic")),
})  # fmt: skip

RATED = Schema("rated", ("diary_id",), {
    "diary_id": _ID,
    "group_id": Field(pl.String, "diaries of one group never stand on both sides of the split"),
    "context_id": Field(pl.String, "what it was written for; all diaries of a context share a group"),
    "image_id": Field(pl.String, "the photo it is about; all diaries of a photo share a group, whatever their context", nullable=True),
    "prompt_id": Field(pl.String, "the prompt that wrote it", nullable=True),
    "text": _TEXT,
    "rating": Field(pl.Float64, "mean over the diary's raters, as they said it or adjusted to the panel", low=-1, high=1),
    "rating_variance": Field(pl.Float64, "unbiased variance between its raters, with two or more; none where `rating` is adjusted to the panel", nullable=True, low=0),
    "simulated": Field(pl.Boolean, "whether any of its ratings is no human's", nullable=True),
    "surrogate": Field(pl.Boolean, "whether `rating` is what a user's reaction suggests: nobody rated it, and it is never tested on", nullable=True),
    "n_raters": Field(pl.Int64, "how many people rated it; 0: it is a surrogate", low=0),
    "split": Field(pl.String, "decided once per group", choices=("train", "test")),
})  # fmt: skip

HUMAN = ~pl.col("surrogate").fill_null(False)  # of RATED rows: people rated it

OVERSAMPLED = Schema("oversampled", RATED.key, {
    **RATED.fields,
    "copies": Field(pl.Float64, "how often a trainer counts this row, inside its own folds; 1 on test rows; a fraction is a weight", low=1),
})  # fmt: skip

PAIRS = Schema("pairs", ("pair_id",), {
    "pair_id": _ID,
    "group_id": Field(pl.String, "pairs of one group never stand on both sides of a split"),
    "context_id": Field(pl.String, "what both answers were written for", nullable=True),
    "image_id": Field(pl.String, "the photo that both answers are about", nullable=True),
    "prompt": Field(pl.String, "what both answers were asked", nullable=True),
    "chosen": Field(pl.String, "the answer that was preferred"),
    "rejected": Field(pl.String, "the answer it was preferred to"),
})  # fmt: skip

INSTRUCTIONS = Schema("instructions", ("instruction", "input", "output"), {
    "instruction": Field(pl.String, "what is asked of the model (지시사항)"),
    "input": Field(pl.String, "what it is given, may be empty (입력)"),
    "output": Field(pl.String, "what it should answer (출력)"),
})  # fmt: skip

QUERIES = Schema("queries", ("query",), {
    "query": Field(pl.String, "what a policy is asked: an instruction with its input"),
})  # fmt: skip

PULLS = Schema("pulls", ("prompt_id", "context_id", "rater_id"), {
    "round": Field(pl.Int64, "the round it happened in, from 1; a round ends in a planned look", low=1),
    "prompt_id": _ID,
    "context_id": _ID,
    "rater_id": Field(pl.String, "who rated what this arm wrote on this context; none: the row is the pull itself", nullable=True),
    "text": Field(pl.String, "what was written; on pulls only", nullable=True),
    "score": Field(pl.Float64, "what the scorer said; on pulls only, and not where it said nothing", nullable=True, low=-1, high=1),
    "scorer": Field(pl.String, "who scored: a hash of the reward model or judge, or a scorer's name", nullable=True),
    "propensity": Field(pl.Float64, "the chance with which the app showed this prompt, where a log tells it", nullable=True, low=0, high=1),
    "human_rating": Field(pl.Float64, "the rater's level; on ratings only", nullable=True, choices=RATING_LEVELS),
    "rating_source": Field(pl.String, f"the file the rating came from, or '{SIMULATED}'", nullable=True),
    "cost_usd": Field(pl.Float64, "of writing and scoring, US dollars", low=0),
})  # fmt: skip

EVENTS = Schema("events", ("event_id",), {
    "event_id": Field(pl.String, "told twice, it counts once"),
    "shown_id": Field(pl.String, "the showing that this event is about: the event_id of its 'shown'"),
    "kind": Field(pl.String, "what happened", choices=("shown", "like", "dislike", "regenerate", "edit")),
    "prompt_id": Field(pl.String, "the prompt that wrote what was shown; on 'shown'", nullable=True),
    "propensity": Field(pl.Float64, "the chance with which that prompt was drawn; on 'shown'", nullable=True, low=0, high=1),
    "segment": Field(pl.String, "the kind of user, as the app divides them; on 'shown'", nullable=True),
    "diary_id": Field(pl.String, "what was shown, where the app names it; on 'shown'", nullable=True),
    "context_id": Field(pl.String, "what it was written for, where the app says; on 'shown'", nullable=True),
    "image_id": Field(pl.String, "the photo it is about, where the app says; on 'shown'", nullable=True),
    "draft": Field(pl.String, "what was written; on 'shown' and 'edit'", nullable=True),
    "final": Field(pl.String, "what the user made of it; on 'edit'", nullable=True),
    "at": Field(pl.String, "ISO 8601, UTC", nullable=True),
})  # fmt: skip


def check(frame: pl.DataFrame, schema: Schema, file: object) -> pl.DataFrame:
    """The schema's columns of `frame`, in order and in its types.

    Raises InputError for a missing column, a null, NaN or infinite number, a value out of range or
    off its set, or a repeated key; rows are counted from 1, as an editor shows a JSONL file.
    """
    columns = []
    for name, f in schema.fields.items():
        if name not in frame.columns:
            if not f.nullable:
                raise InputError("column is missing", file=file, field=name,
                                 remedy=f"{schema.name} needs: {', '.join(schema.fields)}")  # fmt: skip
            columns.append(pl.Series(name, [None] * frame.height, dtype=f.dtype))
            continue
        try:
            columns.append(frame[name].cast(f.dtype))
        except pl.exceptions.PolarsError:
            row = _first(frame[name].cast(f.dtype, strict=False).is_null() & frame[name].is_not_null())
            raise InputError(f"is not {_kind(f)}", file=file, row=row + 1, field=name, value=frame[name][row],
                             remedy=f"Give {_kind(f)}: {f.meaning}") from None  # fmt: skip
    checked = frame.select() if not columns else pl.DataFrame(columns)
    for name, f in schema.fields.items():
        _check_values(checked[name], f, file)
    repeated = checked.select(pl.struct(schema.key).is_duplicated()).to_series() if schema.key else pl.Series([False])
    if repeated.any():
        row = _first(repeated)
        raise InputError("stands more than once", file=file, row=row + 1, field="+".join(schema.key),
                         value="+".join(str(checked[k][row]) for k in schema.key),
                         remedy="Keep one row for each")  # fmt: skip
    return checked


def _check_values(column: pl.Series, f: Field, file: object) -> None:
    def refuse(bad: pl.Series, problem: str, remedy: str) -> None:
        if bad.any():
            row = _first(bad)
            value = column[row]
            raise InputError(problem, file=file, row=row + 1, field=column.name,
                             value="null" if value is None else value, remedy=remedy)  # fmt: skip

    if not f.nullable:
        refuse(column.is_null(), "is empty", f"Every row needs it: {f.meaning}")
    if column.dtype.is_float():
        refuse(~column.is_finite().fill_null(True), "is not a finite number", f"Give a number: {f.meaning}")
    if f.choices is not None:
        allowed = ", ".join(f"{c:g}" if isinstance(c, float) else str(c) for c in f.choices)
        refuse(~column.is_in(list(f.choices)).fill_null(True), "is not allowed", f"Allowed: {allowed}")
    if f.low is not None:
        refuse((column < f.low).fill_null(False), "is too small", f"The least is {f.low:g}")
    if f.high is not None:
        refuse((column > f.high).fill_null(False), "is too large", f"The most is {f.high:g}")


def _first(mask: pl.Series) -> int:
    return int(mask.arg_true()[0])


def _kind(f: Field) -> str:
    kinds = {pl.Int64: "a whole number", pl.Float64: "a number", pl.List(pl.String): "a list of texts"}
    return kinds.get(f.dtype, "text")


def read(path: str | Path, schema: Schema) -> pl.DataFrame:
    """Read and check a stage's Parquet file. Raises InputError."""
    if not Path(path).is_file():
        raise InputError("no such file", file=path, remedy=f"It should hold {schema.name}")
    try:
        return check(pl.read_parquet(path), schema, path)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"is not a Parquet file ({str(error).splitlines()[0]})", file=path,
                         remedy=f"It should hold {schema.name}") from None  # fmt: skip


def write(frame: pl.DataFrame, path: str | Path, schema: Schema) -> None:
    """Check and write a Parquet file; what is wrong with our own output is said before anything is written."""
    checked = check(frame, schema, path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    checked.write_parquet(path)


def json_lines(path: Path, what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of each line of a file that should hold `what`; blank lines are passed over. Raises InputError."""
    if not path.is_file():
        raise InputError("no such file", file=path, remedy=f"It should hold {what}, one JSON object a line")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 (byte {error.start})", file=path, remedy="Save it as UTF-8") from None
    # not splitlines(): JSON leaves U+2028 and its like as they are inside a text
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"is not JSON ({error.msg})", file=path, row=number, value=line,
                             remedy="Give one JSON object a line") from None  # fmt: skip
        if not isinstance(row, dict):
            raise InputError("is not an object", file=path, row=number, value=row, remedy="Write {…}")
        yield number, row


def read_jsonl(path: str | Path, schema: Schema) -> pl.DataFrame:
    """Read and check a JSON-lines file that people or the app wrote. Raises InputError."""
    path = Path(path)
    rows = [row for _, row in json_lines(path, schema.name)]
    if not rows:
        raise InputError("holds no rows", file=path, remedy=f"It should hold {schema.name}")
    columns = {}
    for name, f in schema.fields.items():
        if any(name in row for row in rows):
            columns[name] = [_typed(row.get(name), f, path, n, name) for n, row in enumerate(rows, start=1)]
    return check(pl.DataFrame(columns, schema={n: schema.fields[n].dtype for n in columns}), schema, path)


def read_contexts(path: str, n: int) -> pl.DataFrame:
    """The first `n` contexts of a file, each with the id of its photo, where it has one. Raises InputError when it holds fewer.

    A photo's id is that of its bytes, so that copies are one photo; where no file stands at its path, the path.
    """
    found = read_jsonl(path, CONTEXTS)
    if len(found) < n:
        raise InputError(f"holds {len(found)} contexts, {n} are asked for", file=path, field="n_contexts", value=n,
                         remedy="Add contexts or ask for fewer")  # fmt: skip
    found = found.head(n)
    ids = {photo: photo_id(Path(photo)) for photo in set(found["image_path"].drop_nulls()) if Path(photo).is_file()}
    return found.with_columns(image_id=pl.coalesce("image_id", pl.col("image_path").replace(ids)))


def photo_id(photo: Path) -> str:
    """An id of a file's bytes, whatever its name. Raises OSError."""
    with open(photo, "rb") as file:
        return "p" + hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _typed(value: object, f: Field, path: Path, row: int, name: str) -> object:
    if f.dtype in (pl.Float64, pl.Int64):
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif f.dtype == pl.List(pl.String):
        right = isinstance(value, list) and all(isinstance(each, str) for each in value)
    else:
        right = isinstance(value, str)
    if value is None or (right and not (f.dtype == pl.Int64 and (not math.isfinite(value) or value != int(value)))):
        return value
    raise InputError(f"is not {_kind(f)}", file=path, row=row, field=name, value=value,
                     remedy=f"Give {_kind(f)}: {f.meaning}")  # fmt: skip


def write_jsonl(rows: Iterable[dict], path: str | Path) -> None:
    """Write JSON lines, Korean as itself, no NaN."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def template_fault(template: str, slots: Sequence[str] = SLOTS) -> str | None:
    """What makes a prompt template unusable, or None: hygiene that people, policies and LLMs are held to alike.

    Every one of the task's slots stands in it once, no other braces, one paragraph, no sentence twice.
    """
    import string

    try:
        # a slot with a format ("{place:장소}") is another name: `fill` could not give it a value
        names = [name + f":{form}" * bool(form) + f"!{how}" * bool(how)
                 for _, name, form, how in string.Formatter().parse(template) if name is not None]  # fmt: skip
    except ValueError as error:
        return f"has broken braces ({error})"
    for slot in slots:
        if names.count(slot) != 1:
            return f"has {'no slot' if slot not in names else 'more than one slot'} {{{slot}}}"
    for name in names:
        if name not in slots:
            return f"has an unknown slot {{{name}}}"
    if "\n" in template.strip():
        return "has more than one paragraph"
    sentences = [s.strip() for s in template.split(".") if s.strip()]
    if len(set(sentences)) < len(sentences):
        return "says a sentence twice"
    return None


def check_template(template: str, file: object = None, row: int | None = None, slots: Sequence[str] = SLOTS) -> None:
    """Raise InputError for a template with a fault."""
    fault = template_fault(template, slots)
    if fault:
        named = ", ".join("{" + s + "}" for s in slots)
        raise InputError(fault, file=file, row=row, field="template", value=template,
                         remedy=f"A prompt is one paragraph that uses every context field once: {named}")  # fmt: skip


def context_digest(context: dict[str, Any]) -> str:
    """SHA-256 of what makes a context one of its kind: its photo, or where there is none, its words; whatever its id."""
    photo = context.get("image_id")
    shown = [photo] if photo else [context.get(slot) or "" for slot in SLOTS]
    return hashlib.sha256(json.dumps(shown, ensure_ascii=False).encode()).hexdigest()


def fill(template: str, context: dict[str, Any], slots: Sequence[str] = SLOTS) -> str:
    """The prompt for one context: every slot replaced by its value, values taken as text (no recursion)."""
    return template.format(**{slot: context.get(slot) or "" for slot in slots})

"""What users make of what they are shown: the log of their reactions, and the allocation the app draws prompts from.

The app draws a prompt (`draw`), logs the showing with the propensity it was drawn with, and then whatever the user
does with the text. `outcomes` makes one value in [-1, 1] of each showing.
"""

from __future__ import annotations

import difflib
import hashlib
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from memozy.records import EVENTS, InputError, read_jsonl

SAID = {"like": 1.0, "dislike": -1.0, "regenerate": -0.5, "shown": 0.0}
KEPT, REWRITTEN = 0.9, 0.5  # an edit's similarity: from here on the text was kept; below here it was written anew


def read_events(path: str | Path) -> pl.DataFrame:
    """The log's events (EVENTS, but `at` as a time), in the log's order; one told again in the same words counts once.

    Raises InputError for an event told again in other words, one about a showing that isn't there, a showing without
    a prompt or a propensity above 0, an edit that doesn't say what became of what, and an `at` that is no time.
    """
    events = read_jsonl(path, replace(EVENTS, key=())).with_row_index("row", offset=1)
    events = events.unique(list(EVENTS.fields), keep="first", maintain_order=True)
    shown, showings = pl.col("kind") == "shown", events.filter(pl.col("kind") == "shown")
    drafted = pl.col("shown_id").is_in(showings.filter(pl.col("draft").fill_null("") != "")["shown_id"].implode())
    undrafted = ~drafted & (pl.col("draft").fill_null("") == "")

    for bad, field, problem, remedy in (
        (~pl.col("event_id").is_first_distinct(), "event_id", "is told again, and differently",
         "An event never changes: give the new one an id of its own"),
        (shown & (pl.col("shown_id") != pl.col("event_id")), "shown_id", "is not the showing's own event_id",
         "A 'shown' is about itself"),
        (~pl.col("shown_id").is_in(showings["event_id"].implode()), "shown_id", "is about a showing that is not in the log",
         "Keep every 'shown' event: without it nobody knows which prompt was liked"),
        (shown & pl.col("prompt_id").is_null(), "prompt_id", "is empty", "A 'shown' says which prompt wrote the text"),
        (shown & pl.col("propensity").is_null(), "propensity", "is empty", "Log what `draw` returned with the prompt"),
        (shown & (pl.col("propensity") == 0), "propensity", "is 0, of a prompt that was shown",
         "Log what `draw` returned with the prompt"),
        ((pl.col("kind") == "edit") & pl.col("final").is_null(), "final", "is empty", "An 'edit' says what became of the text"),
        ((pl.col("kind") == "edit") & undrafted, "draft", "is empty, here and at the showing",
         "Log the text that was edited with either"),
    ):  # fmt: skip
        wrong = events.filter(bad)
        if wrong.height:
            raise InputError(problem, file=path, row=wrong["row"][0], field=field, value=wrong[field][0], remedy=remedy)
    at = [_time(at, path, row) for row, at in events.select("row", "at").iter_rows()]
    return events.drop("row").with_columns(pl.Series("at", at, dtype=pl.Datetime("us", "UTC")))


def _time(at: str | None, file: object, row: int) -> datetime | None:
    """ISO 8601; what names no zone is UTC."""
    try:
        moment = None if at is None else datetime.fromisoformat(at)
        return moment and moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError("is not a time", file=file, row=row, field="at", value=at,
                         remedy="Give ISO 8601, such as 2025-03-01T09:30:00Z, or leave it out") from None  # fmt: skip


def outcomes(events: pl.DataFrame) -> pl.DataFrame:
    """One row for each showing, in the log's order: shown_id, prompt_id, segment, propensity, value, kind.

    kind is the showing's last reaction, "shown" where none followed, and value what it is worth: like 1, dislike -1,
    regenerate -0.5, edit as `edit_value` has it, of what was shown. The last one by `at`, where all of the showing's reactions
    have one, else (and between equals) by the log's order, counts because it is what the user ended with: whoever likes
    a text and then has it written anew was not pleased after all. A showing without a reaction counts 0 and is not left
    out: a prompt to which only its few admirers react would look the best, and a propensity is the chance of a showing,
    not of a reaction.
    """
    timed = pl.col("at").is_not_null().all().over("shown_id")
    reactions = (
        events.filter(pl.col("kind") != "shown")
        .sort(pl.when(timed).then("at"), maintain_order=True)
        .unique("shown_id", keep="last", maintain_order=True)
    )
    showings = events.filter(pl.col("kind") == "shown").select(
        "shown_id", "prompt_id", "segment", "propensity", "draft"
    )
    rows = showings.join(
        reactions.select("shown_id", "kind", "final", edited="draft"), on="shown_id", how="left", maintain_order="left"
    ).with_columns(pl.col("kind").fill_null("shown"))
    value = [
        edit_value(r["draft"] or r["edited"], r["final"]) if r["kind"] == "edit" else SAID[r["kind"]]
        for r in rows.iter_rows(named=True)
    ]
    return rows.select(
        "shown_id", "prompt_id", "segment", "propensity", pl.Series("value", value, dtype=pl.Float64), "kind"
    )


def edit_value(draft: str, final: str) -> float:
    """What an edit says of the draft: 1 where at least 90 % of it stayed, -0.5 where less than 50 % did, else 0."""
    alike = similarity(draft, final)
    return 1.0 if alike >= KEPT else -0.5 if alike < REWRITTEN else 0.0


def similarity(draft: str, final: str) -> float:
    """How alike a draft and what became of it are, in [0, 1]: 2 · matching characters / (characters of both).

    Ratcliff and Obershelp's ratio (1988) of the NFC forms, so that one text in two encodings is the same text. What
    was added before the draft's first matching stretch or after its last is left out: an addition is no correction.
    """
    before, after = (unicodedata.normalize("NFC", text).strip() for text in (draft, final))
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()[:-1]
    matching = sum(block.size for block in blocks)
    if not blocks:
        return float(before == after)
    return 2 * matching / (len(before) + blocks[-1].b + blocks[-1].size - blocks[0].b)


class Allocation(BaseModel):
    """Which prompt whom is shown, with which chance. What `personalize_prompts` writes and the app draws from.

    prompts: prompt_id -> template. everyone: prompt_id -> chance in (0, 1], which add up to 1; for users of no segment,
    and of those that are not in `segments`: segment -> the same. salt: another one deals the chances out anew.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    salt: str
    prompts: dict[str, str] = Field(min_length=1)
    everyone: dict[str, float]
    segments: dict[str, dict[str, float]] = {}

    @model_validator(mode="after")
    def _chances_add_up(self):
        for name, chances in [("everyone", self.everyone), *self.segments.items()]:
            strange = set(chances) - set(self.prompts)
            if strange:
                raise ValueError(f"the chances of '{name}' name a prompt without a template: {sorted(strange)[0]}")
            if not all(0 < c <= 1 for c in chances.values()) or abs(sum(chances.values()) - 1) > 1e-9:
                raise ValueError(f"the chances of '{name}' are not above 0 and 1 in all")
        return self


def read_allocation(path: str | Path) -> Allocation:
    """Read an allocation (JSON). Raises InputError."""
    try:
        return Allocation.model_validate_json(Path(path).read_bytes())
    except FileNotFoundError:
        raise InputError("no such file", file=path, remedy="It should hold an allocation") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(first["msg"].removeprefix("Value error, "), file=path, field=".".join(map(str, first["loc"])) or None,
                         remedy="Take it as personalize_prompts wrote it") from None  # fmt: skip


def draw(allocation: Allocation, segment: str | None, user_key: str) -> tuple[str, float]:
    """The prompt for a user, and the propensity to log with the showing.

    The same allocation, segment and key give the same prompt on any machine; over many keys each prompt comes as often
    as its chance says. A user's id as key keeps that user with one prompt; the showing's own id as key draws every time
    anew, as independent as the intervals of an off-policy estimate assume showings to be.
    """
    chances = allocation.segments.get(segment, allocation.everyone)
    hashed = hashlib.sha256(f"{allocation.salt}\0{user_key}".encode()).digest()
    point = int.from_bytes(hashed[:8], "big") / 2**64
    for prompt_id, chance in chances.items():
        point -= chance
        if point < 0:
            return prompt_id, chance
    return prompt_id, chance  # rounding: the chances added up to a hair under 1

"""The showings that users reacted to: of which diary, what was made of it, and what people say of that diary."""

from __future__ import annotations

import math

import polars as pl

from memozy import edits
from memozy.feedback import reactions
from memozy.records import DIARIES, InputError
from memozy.texts import clean, normalise


def reacted(
    events: pl.DataFrame, ratings: pl.DataFrame, diaries: pl.DataFrame, file: object
) -> tuple[pl.DataFrame, int]:
    """One row for each showing with a reaction, in the log's order, and how many were left out because nothing tells
    their text: not the event, nor the rated diary of that id.

    diary_id, context_id, image_id, prompt_id, draft, final, kind (the last reaction), at;
    similarity, added (of an edit, see `memozy.edits`), length (log of the draft's characters);
    human: the mean rating that people gave this diary, or else the diaries of the same text (`texts.normalise`);
    null: none; text_id: the same for showings of one text.

    A showing's diary is the one it names, unless its text is another than the one that id was first known by; else the
    showing itself. Raises InputError where the showing's id is already that of another text.
    """
    shown = events.filter(pl.col("kind") == "shown").select("shown_id", "at")
    rows = reactions(events).filter(pl.col("kind") != "shown").join(shown, on="shown_id", maintain_order="left")
    known = dict(diaries.select("diary_id", "text").iter_rows())
    kept, n_textless = [], 0
    for row in rows.iter_rows(named=True):
        if not (row["draft"] or "").strip():
            row["draft"] = known.get(row["diary_id"])
        if row["draft"] is None:
            n_textless += 1
            continue
        key = normalise(row["draft"])
        for diary in (row["diary_id"], row["shown_id"]):
            if diary is not None and normalise(known.setdefault(diary, row["draft"])) == key:
                break
        else:
            raise InputError("is the id of another text's diary", file=file, field="shown_id", value=row["shown_id"],
                             remedy="Give diaries and events ids that differ")  # fmt: skip
        edit = edits.compare(row["draft"], row["final"]) if row["kind"] == "edit" else None
        kept.append(row | {
            "diary_id": diary, "context_id": row["context_id"] or row["shown_id"], "text_id": key,
            "similarity": edit and edit.similarity, "added": edit and edit.added,
            "length": math.log(len(clean(row["draft"]))),
        })  # fmt: skip
    texts = dict.fromkeys(("diary_id", "context_id", "image_id", "prompt_id", "draft", "final", "kind"), pl.String)
    numbers = dict.fromkeys(("similarity", "added", "length"), pl.Float64)
    frame = pl.DataFrame(kept, schema=texts | {"at": events.schema["at"], "text_id": pl.String} | numbers)
    return _with_ratings(frame, ratings, diaries), n_textless


def _with_ratings(rows: pl.DataFrame, ratings: pl.DataFrame, diaries: pl.DataFrame) -> pl.DataFrame:
    told = ratings.join(diaries.select("diary_id", "text"), on="diary_id")
    told = told.with_columns(pl.Series("text_id", [normalise(text) for text in told["text"]], dtype=pl.String))
    by_diary, by_text = (
        told.group_by(key).agg(pl.col("rating").mean().alias(name))
        for key, name in (("diary_id", "by_diary"), ("text_id", "by_text"))
    )
    rows = rows.join(by_diary, on="diary_id", how="left", maintain_order="left")
    rows = rows.join(by_text, on="text_id", how="left", maintain_order="left")
    return rows.with_columns(human=pl.coalesce("by_diary", "by_text")).drop("by_diary", "by_text")


def drafts(rows: pl.DataFrame, diaries: pl.DataFrame) -> pl.DataFrame:
    """The diary (DIARIES) of each of the showings `rows`, once, in id order; as `diaries` has it, where it does."""
    first = rows.unique("diary_id", keep="first", maintain_order=True).select(
        "diary_id", "context_id", "image_id", "prompt_id",
        generator=pl.lit("unknown"), text="draft", cost_usd=pl.lit(0.0),
        created_at=pl.col("at").dt.to_string("iso:strict").fill_null("unknown"),
    )  # fmt: skip
    rated = diaries.filter(pl.col("diary_id").is_in(first["diary_id"].implode()))
    fresh = first.filter(~pl.col("diary_id").is_in(rated["diary_id"].implode()))
    return pl.concat([rated.select(*DIARIES.fields), fresh.select(*DIARIES.fields)]).sort("diary_id")

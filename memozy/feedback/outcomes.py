"""What a user's reaction says of what was shown."""

from __future__ import annotations

import polars as pl

from memozy.edits import edit_value

SAID = {"like": 1.0, "dislike": -1.0, "regenerate": -0.5, "shown": 0.0}


def reactions(events: pl.DataFrame) -> pl.DataFrame:
    """One row for each showing, in the log's order: what was shown, as the log tells it (shown_id, prompt_id, segment,
    propensity, diary_id, context_id, image_id, draft), the kind of its last reaction ("shown" where none followed) and,
    of an edit, the final text. What was edited is the draft where the showing told none.

    The last one by `at`, where all of the showing's reactions have one, else (and between equals) by the log's order,
    counts because it is what the user ended with: whoever likes a text and then has it written anew was not pleased
    after all.
    """
    timed = pl.col("at").is_not_null().all().over("shown_id")
    last = (
        events.filter(pl.col("kind") != "shown")
        .sort(pl.when(timed).then("at"), maintain_order=True)
        .unique("shown_id", keep="last", maintain_order=True)
        .select("shown_id", "kind", "final", edited="draft")
    )
    about = ("shown_id", "prompt_id", "segment", "propensity", "diary_id", "context_id", "image_id", "draft")
    rows = events.filter(pl.col("kind") == "shown").select(about)
    rows = rows.join(last, on="shown_id", how="left", maintain_order="left")
    draft = pl.when(pl.col("draft").fill_null("") == "").then("edited").otherwise("draft")
    return rows.select(*about[:-1], draft=draft, kind=pl.col("kind").fill_null("shown"), final="final")


def outcomes(events: pl.DataFrame) -> pl.DataFrame:
    """One row for each showing, in the log's order: shown_id, prompt_id, segment, propensity, value, kind.

    value is what the last reaction is worth (see `reactions`): like 1, dislike -1, regenerate -0.5, edit as `edit_value`
    has it, of what was shown. A showing without a reaction counts 0 and is not left out: a prompt to which only its few
    admirers react would look the best, and a propensity is the chance of a showing, not of a reaction.
    """
    rows = reactions(events)
    value = [
        edit_value(draft, final) if kind == "edit" else SAID[kind]
        for kind, draft, final in rows.select("kind", "draft", "final").iter_rows()
    ]
    return rows.select(
        "shown_id", "prompt_id", "segment", "propensity", pl.Series("value", value, dtype=pl.Float64), "kind"
    )

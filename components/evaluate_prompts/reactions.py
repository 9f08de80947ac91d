"""Scorer "feedback": what users of the app did since the last look."""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from components.evaluate_prompts.config import Config
from memozy.feedback import outcomes, read_events
from memozy.records import InputError


def since(rows: Sequence[dict], arms: Sequence[str], look: int, config: Config) -> list[dict]:
    """The showings of the arms that are not in `rows` yet, with what users made of them; none if too few for this look.

    A showing counts once, and not before `reaction_days` have passed in the log: until then users may still react.
    Raises InputError where all planned looks are made, or an arm was hardly shown.
    """
    events, known = read_events(config.feedback), {r["context_id"] for r in rows}
    old_enough = shown_before(events, config.reaction_days, config.feedback)
    fresh = [r for r in outcomes(events).to_dicts()
             if r["prompt_id"] in arms and r["shown_id"] in old_enough and r["shown_id"] not in known]  # fmt: skip
    if len(fresh) < config.pulls_per_look:
        print(f"… evaluate_prompts: {len(fresh)} new showings, {config.pulls_per_look} make a look", flush=True)
        return []
    if look > config.looks:
        raise InputError(f"this would be look {look} of {config.looks} planned", file=config.feedback,
                         field="evaluation.looks", remedy="The confidence covers planned looks only: start anew")  # fmt: skip
    for prompt_id in arms:
        n = sum(r["prompt_id"] == prompt_id for r in [*rows, *fresh])
        if n < 2:
            raise InputError(f"shows it {n} times: it can't be compared", file=config.feedback, field="prompt_id",
                             value=prompt_id, remedy="Have the app draw every prompt that is compared")  # fmt: skip
    return fresh


def shown_before(events: pl.DataFrame, days: float, file: object) -> set[str]:
    """The showings that are at least `days` older than the log's last event. Raises InputError for an event without a time."""
    if events["at"].null_count():
        raise InputError("is empty: which showings are old enough to count can't be told", file=file, field="at",
                         remedy="Give every event its time, ISO 8601")  # fmt: skip
    old = events.filter(pl.col("kind") == "shown", pl.col("at").max() - pl.col("at") >= timedelta(days=days))
    return set(old["event_id"])

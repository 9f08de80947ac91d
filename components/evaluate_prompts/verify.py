"""A reviewer's own arithmetic: the decision once more, from the pulls, compared with what the record says."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from pydantic import ValidationError

from components.evaluate_prompts.record import findings, rows_digest
from components.evaluate_prompts.replay import Settings
from memozy.records import InputError


def differences(pulls: pl.DataFrame, record: Mapping[str, Any]) -> list[str]:
    """Every statement of the record that its pulls do not bear out, a line each; none where it is true.

    pulls: PULLS, in the order of the artifact. Raises InputError for a record without settings to decide by.
    """
    try:
        settings = Settings.model_validate(record["settings"])
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(f"holds no settings to decide by ({str(error).splitlines()[0]})", file="decision",
                         field="settings", remedy="Give the decision that the evaluation wrote") from None  # fmt: skip
    rows = pulls.to_dicts()
    strange = {r["prompt_id"] for r in rows} - set(settings.arms)
    if strange:
        raise InputError("is not among the record's arms", file="pulls", field="prompt_id", value=min(strange),
                         remedy="Give the pulls and the decision of one evaluation")  # fmt: skip
    try:
        found = findings(rows, settings)
    except (ValueError, TypeError) as error:
        raise InputError(f"can't be decided from ({error})", file="pulls", remedy="Give the pulls as the evaluation wrote them") from None
    found = {"hashes": {"pulls": rows_digest(rows)}, **found}
    return _compare(found, record, "")


def _compare(found: Any, said: Any, at: str) -> list[str]:
    """Where `said` differs from `found`; what only the record knows is passed over."""
    if isinstance(found, Mapping) and isinstance(said, Mapping):
        return [line for key, value in found.items() for line in _compare(value, said.get(key), f"{at}.{key}".lstrip("."))]
    if isinstance(found, Sequence) and not isinstance(found, str) and isinstance(said, Sequence) and len(found) == len(said):
        return [line for i, (a, b) in enumerate(zip(found, said, strict=True)) for line in _compare(a, b, f"{at}[{i}]")]
    if isinstance(found, float) and isinstance(said, (int, float)) and abs(found - said) <= 1e-9 * max(1, abs(found)):
        return []
    return [] if found == said else [f"{at}: the record says {said!r}, the pulls say {found!r}"]

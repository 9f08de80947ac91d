"""Which prompt whom is shown: what the app draws from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from memozy.records import InputError


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

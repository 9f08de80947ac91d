from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """How rare ratings are brought forward in training.

    strategy: "duplicate" counts a rare row several times, in whole copies; "weights" as much as makes its level weigh
    exactly what the commonest does; "none" once. max_copies: how much a row counts at the most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Literal["duplicate", "weights", "none"] = "duplicate"
    max_copies: int = Field(4, ge=1)

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """How rare ratings are brought forward in training: copies of their rows, up to `max_copies`, or none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Literal["duplicate", "none"] = "duplicate"
    max_copies: int = Field(4, ge=1)

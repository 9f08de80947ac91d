"""Settings of `write_report`."""

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """How much of the evidence the page quotes; every number on it is shown whatever stands here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    diaries_per_arm: int = Field(2, ge=1)  # of the best, and again of the worst
    updates_sampled: int = Field(6, ge=2)  # PPO updates whose prompts are quoted, first and last among them

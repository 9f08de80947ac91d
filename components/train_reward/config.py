"""Settings of train_reward."""

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """How candidates are compared: `repeats` times `folds`-fold cross-validation, groups never crossing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: int = Field(5, ge=2)
    repeats: int = Field(2, ge=1)
    seed: int = Field(0, ge=0)

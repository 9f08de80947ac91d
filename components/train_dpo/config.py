"""Settings of `train_dpo`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.environments.config import EnvironmentConfig
from memozy.stages import InputFile


class Config(BaseModel):
    """Direct preference optimisation of a policy's adapter (Rafailov et al. 2023, arXiv:2305.18290).

    enabled: false hands the policy on as it came. source: where pairs come from. "sampled": the best of a policy's own
    answers against the worst; "ratings": two rated diaries of one context, for `environment.task` response/diary;
    "rankings": the file of that name (see memozy.preferences), whose lines may name a `context_id` in place of a prompt.
    beta: of the KL to the policy as it came. least_margin: ratings that differ by less are a tie, and no pair.
    held_out: share of the pairs that accuracy is reported on. micro_batch: pairs computed at once, at most, which changes no result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    source: Literal["sampled", "ratings", "rankings"] = "sampled"
    rankings: InputFile | None = None
    environment: EnvironmentConfig = EnvironmentConfig()
    beta: float = Field(0.1, gt=0)
    least_margin: float = Field(0.5, gt=0, le=2)
    held_out: float = Field(0.1, gt=0, lt=1)
    steps: int = Field(60, ge=1)
    batch_size: int = Field(16, ge=1)
    micro_batch: int = Field(16, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    seed: int = 0

    @model_validator(mode="after")
    def _settings_fit_together(self):
        if (self.source == "rankings") != (self.rankings is not None):
            raise ValueError("rankings is the file that source: rankings reads")
        if self.source == "ratings" and self.environment.task != "response/diary":
            raise ValueError(
                "source: ratings compares diaries, which are responses in environment.task response/diary alone"
            )
        if self.batch_size % min(self.micro_batch, self.batch_size):
            raise ValueError(f"batch_size {self.batch_size} is no multiple of micro_batch {self.micro_batch}")
        return self

"""Settings of `sample_and_filter`."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.environments.config import EnvironmentConfig
from memozy.llm import LLMConfig
from memozy.stages import FileOrName, InputFile
from memozy.weights import Weights


class Config(BaseModel):
    """Rejection sampling: of `samples` responses of `model` to a query the `keep` best by `environment` are kept.

    enabled: false keeps nothing, and nothing is sampled. Scores are in [-1, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    model: FileOrName = "data/models/policy"  # a hub name, a model's folder or a policy's folder
    weights: Weights = Weights()
    environment: EnvironmentConfig = EnvironmentConfig()
    llm: LLMConfig = LLMConfig()
    queries: InputFile = "data/queries.jsonl"  # what a prompt is asked for by, where the policy was taught none
    n_queries: int = Field(64, ge=1)  # as the environment gives them, repeated ones too
    samples: int = Field(8, ge=1)  # k, to each of them
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(1.0, gt=0)
    batch_size: int = Field(256, ge=1)  # responses sampled and scored at a time: what a kill loses at most
    keep: int = Field(1, ge=1)  # of the responses to a query, at most
    least_score: float = Field(-1.0, ge=-1, le=1)  # that a kept one must have
    diversity: float | None = Field(0.98, gt=0, le=1)  # from this cosine on two are one; null: only equal ones are
    margin: float = Field(0.1, gt=0, le=2)  # by which the best must beat the worst, to be a pair with it
    seed: int = 0

    @model_validator(mode="after")
    def _keeps_some_of_them(self):
        if self.keep > self.samples:
            raise ValueError("keep cannot be more than samples")
        return self

"""Settings of `evaluate_prompts`."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.llm import LLMConfig
from memozy.stages import InputFile


class Config(BaseModel):
    """One prompt is adopted when, with probability `confidence`, it is within `epsilon` of the best.

    ratings: where human ratings come from: "simulated"; a CSV that answers the `to_rate` of the
    evaluation in `previous`; or nothing, and the run ends with a sheet to rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contexts: InputFile = "data/evaluation_contexts.jsonl"  # never seen in training or proposing
    n_contexts: int = Field(400, ge=2)
    llm: LLMConfig = LLMConfig()
    ratings: InputFile | None = None
    previous: InputFile | None = None  # the `pulls` of the rounds before this one
    confidence: float = Field(0.95, gt=0.5, lt=1)
    epsilon: float = Field(0.1, ge=0)  # indifference margin, in rating units
    looks: int = Field(4, ge=1)  # planned looks: an undecided evaluation ends after so many rounds
    pulls_per_look: int = Field(480, ge=20)  # diaries written and scored, over all arms
    ratings_per_look: int = Field(120, ge=20)  # human ratings, over all arms
    pulls_at_once: int = Field(64, ge=1)  # UCB learns of so many scores together
    seed: int = 0

    @model_validator(mode="after")
    def _ratings_have_their_pulls(self):
        if self.ratings not in (None, "simulated") and self.previous is None:
            raise ValueError("ratings from a file answer an earlier to_rate: give its pulls as 'previous'")
        return self

"""Settings of `propose_prompts`."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.llm import LLMConfig
from memozy.stages import InputFile


class Config(BaseModel):
    """Challengers are sampled from the policies in the run; none is written down anywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts: InputFile = "data/prompts.jsonl"  # the first row is the incumbent
    contexts: InputFile = "data/contexts.jsonl"
    n_contexts: int = Field(150, ge=1)
    llm: LLMConfig = LLMConfig()
    candidates: int = Field(32, ge=2)  # prompts sampled from each policy
    contexts_per_prompt: int = Field(12, ge=1)
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(1.0, gt=0)
    seed: int = 0

    @model_validator(mode="after")
    def _contexts_go_round(self):
        if self.contexts_per_prompt > self.n_contexts:
            raise ValueError("contexts_per_prompt cannot be more than n_contexts")
        return self

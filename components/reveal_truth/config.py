"""Settings of `reveal_truth`."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.llm import LLMConfig
from memozy.stages import InputFile


class Config(BaseModel):
    """Only in the micro-world is there a truth to reveal; elsewhere `diaries_per_arm` is 0 and nothing is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    llm: LLMConfig = LLMConfig()
    seen: InputFile = "data/contexts.jsonl"  # left out of the contexts that the truth is about
    diaries_per_arm: int = Field(0, ge=0)
    policy_prompts: int = Field(128, ge=2)  # prompts sampled from each policy, SFT and PPO
    contexts_per_prompt: int = Field(6, ge=1)
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(1.0, gt=0)
    seed: int = 0

    @model_validator(mode="after")
    def _contexts_go_round(self):
        if 0 < self.diaries_per_arm < self.policy_prompts * self.contexts_per_prompt:
            raise ValueError("diaries_per_arm must be 0 or at least policy_prompts × contexts_per_prompt")
        return self

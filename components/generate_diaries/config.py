"""Settings of `generate_diaries`."""

from pydantic import BaseModel, ConfigDict, Field

from memozy.llm import LLMConfig
from memozy.stages import InputFile


class Config(BaseModel):
    """Each context is written `per_context` times: half by the incumbent, half by prompts tried before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contexts: InputFile = "data/contexts.jsonl"
    prompts: InputFile = "data/prompts.jsonl"  # the first row is the incumbent
    n_contexts: int = Field(150, ge=1)
    per_context: int = Field(4, ge=1)
    llm: LLMConfig = LLMConfig()
    seed: int = 0

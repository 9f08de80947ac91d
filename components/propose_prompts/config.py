"""Settings of `propose_prompts`."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.llm import LLMConfig
from memozy.stages import InputFile

POLICIES = ("sft", "ppo")  # the sources of prompts that every run has


class Writer(BaseModel):
    """A language model that is asked for prompts. Its name tells its rows, and its challengers' origin: llm:<name>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[\w.-]+$")
    llm: LLMConfig
    candidates: int = Field(8, ge=1)  # prompts asked for


class Config(BaseModel):
    """Challengers are written in the run, by the policies and by the `writers`; none is written down anywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts: InputFile = "data/prompts.jsonl"  # the first row is the incumbent; the others are known, and not proposed
    contexts: InputFile = "data/contexts.jsonl"
    n_contexts: int = Field(150, ge=1)
    llm: LLMConfig = LLMConfig()
    candidates: int = Field(32, ge=2)  # prompts sampled from each policy
    contexts_per_prompt: int = Field(12, ge=1)
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(1.0, gt=0)
    writers: tuple[Writer, ...] = ()
    examples_per_side: int = Field(4, ge=1)  # diaries shown to a writer: so many of the best, so many of the worst
    seed: int = 0

    @model_validator(mode="after")
    def _contexts_go_round(self):
        shown = 2 * self.examples_per_side if self.writers else 0
        if self.contexts_per_prompt + shown > self.n_contexts:
            raise ValueError("n_contexts must hold contexts_per_prompt, and with writers 2 × examples_per_side besides")
        return self

    @model_validator(mode="after")
    def _names_tell_writers_apart(self):
        names = [*POLICIES, *(writer.name for writer in self.writers)]
        if len(set(names)) < len(names):
            raise ValueError(f"every writer needs a name of its own, other than {' and '.join(POLICIES)}")
        return self

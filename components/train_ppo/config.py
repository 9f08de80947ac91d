"""Settings of `train_ppo`."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.llm import LLMConfig
from memozy.stages import InputFile


class Config(BaseModel):
    """PPO of a prompt policy: the reward of a prompt is the mean score of the diaries a frozen task LM writes by it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contexts: InputFile = "data/contexts.jsonl"
    n_contexts: int = Field(150, ge=1)
    llm: LLMConfig = LLMConfig()
    updates: int = Field(16, ge=1)
    rollouts: int = Field(128, ge=2)  # prompts written per update
    contexts_per_prompt: int = Field(2, ge=1)  # the same contexts for all prompts of an update
    pessimism: float = Field(0.0, ge=0)  # uncertainties of the reward model taken from every diary's score
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(1.0, gt=0)  # of the rollout and of every log-prob
    epochs: int = Field(3, ge=1)
    mini_batches: int = Field(2, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    max_grad_norm: float = Field(1.0, gt=0)
    clip: float = Field(0.2, gt=0)
    value_clip: float = Field(0.2, gt=0)
    value_coef: float = Field(0.1, ge=0)
    gamma: float = Field(1.0, gt=0, le=1)
    lam: float = Field(1.0, ge=0, le=1)  # the score comes at the end: below 1, early tokens hardly feel it
    kl_coef: float = Field(0.02, ge=0)  # at the start, and at least
    kl_target: float = Field(8.0, gt=0)  # nats per prompt; above it the coefficient grows
    stop_at_approx_kl: float = Field(0.1, gt=0)  # ends an update's epochs early
    lora_rank: int = Field(16, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _contexts_go_round(self):
        if self.contexts_per_prompt > self.n_contexts:
            raise ValueError("contexts_per_prompt cannot be more than n_contexts")
        return self

"""Settings of `train_ppo`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.environments.config import EnvironmentConfig
from memozy.llm import LLMConfig


class Config(BaseModel):
    """Reinforcement learning of a policy in an environment. Token counts are the policy's tokens, KL is in nats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True  # false: the policy is handed on as it came
    algorithm: Literal["ppo", "rloo", "grpo"] = "ppo"  # ppo is ours; the others are TRL's trainers
    environment: EnvironmentConfig = EnvironmentConfig()
    llm: LLMConfig = LLMConfig()

    updates: int = Field(16, ge=1)
    rollouts: int = Field(128, ge=2)  # responses per update, over all GPUs
    group_size: int = Field(8, ge=2)  # of them to one query: rloo and grpo compare these
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(1.0, gt=0)  # of the rollout and of every log-prob

    kl_coef: float = Field(0.02, ge=0)  # at the start; an adaptive one is never less
    kl_target: float = Field(8.0, gt=0)  # nats per response: above it the coefficient grows, and no update is kept
    truncation: Literal["penalise", "bootstrap"] = "penalise"  # a response that ran out of tokens before its EOS …
    missing_eos_score: float = Field(-1.0, ge=-1, le=1)  # … gets this score; or its own, and the value of going on
    overlong_from: int | None = Field(None, ge=0)  # tokens from which length costs, up to 1 at max_new_tokens

    gamma: float = Field(1.0, gt=0, le=1)
    lam: float = Field(1.0, ge=0, le=1)  # the score comes at the end: below 1, early tokens hardly feel it
    whiten: bool = True  # advantages to mean 0 and variance 1
    clip: float = Field(0.2, gt=0)
    value_clip: float = Field(0.2, gt=0)
    value_coef: float = Field(0.5, ge=0)  # the value head learns on the trunk it shares: with 0.1, values lag behind

    epochs: int = Field(3, ge=1)
    mini_batches: int = Field(2, ge=1)  # optimiser steps per epoch
    micro_batch_tokens: int = Field(8192, ge=1)  # of one forward and backward, padding included; changes no gradient
    top_layers: int | None = Field(None, ge=1)  # only these train; what is below is computed once per update. null: all
    learning_rate: float = Field(5e-4, gt=0)
    max_grad_norm: float = Field(1.0, gt=0)
    stop_at_approx_kl: float = Field(0.1, gt=0)  # nats per token from the rollout's policy; ends an update early

    kl_limit: float = Field(40.0, gt=0)  # nats per response: beyond it training stops
    false_alarm: float = Field(
        0.05, gt=0, lt=1
    )  # probability at most, per run, of seeing a fall of gold that is chance
    compared: int = Field(16, ge=1)  # queries that the policy of before and the one of after both answer

    merge: bool = False  # write base and adapter as one model too
    seed: int = 0

    @model_validator(mode="after")
    def _fit_together(self):
        if self.mini_batches > self.rollouts:
            raise ValueError("mini_batches cannot be more than rollouts")
        if self.algorithm != "ppo" and (self.rollouts % self.group_size or self.rollouts % self.mini_batches):
            raise ValueError(f"{self.algorithm} needs rollouts that group_size and mini_batches divide")
        if self.kl_limit < self.kl_target:
            raise ValueError("kl_limit cannot be less than kl_target")
        if self.overlong_from is not None and self.overlong_from >= self.max_new_tokens:
            raise ValueError("overlong_from must be less than max_new_tokens")
        return self

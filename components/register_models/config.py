"""Settings of `register_models`."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """What passes its gate is registered as a candidate: `<name>-candidate`. A reviewer promotes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reward_name: str = "reward-model"
    policy_name: str = "prompt-policy"
    prompt_name: str = "diary-prompt"

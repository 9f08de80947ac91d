"""Settings of `train_sft`."""

from pydantic import BaseModel, ConfigDict, Field

from memozy.stages import FileOrName, InputFile


class Config(BaseModel):
    """LoRA fine-tuning of `model` on instruction data, merged into plain weights at the end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: FileOrName = "data/models/policy"  # a folder or a hub name
    instructions: InputFile = "data/instructions.jsonl"
    held_out: float = Field(0.1, gt=0, lt=1)  # share of the rows the loss is reported on
    steps: int = Field(80, ge=1)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(5e-3, gt=0)
    lora_rank: int = Field(16, ge=1)
    seed: int = 0

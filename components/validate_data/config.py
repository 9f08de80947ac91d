from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from memozy.stages import InputFile


class Config(BaseModel):
    """What a data set must be before anything is trained on it.

    min_diaries: rated diaries at the least. min_per_class: ratings at each level at the least.
    min_chars, max_chars: a diary's length in characters.
    min_hangul: the share of a text's letters that are Hangul; `mostly` of the diaries must reach it.
    near_duplicate: the cosine of character 2- to 4-gram counts from which two texts count as one, 1: equal ones only;
    max_near_duplicates: the share of diaries at most whose text is another's, or nearly.
    previous: the `validated` of an earlier run. max_drift: how far what is new may differ from it, in
    ratings, lengths or characters (bits, see memozy.drift; 0.045 is customarily called a major shift).
    personal_data: whether a text with a telephone number or its like stops the run, goes on without it, or as it is.
    random_raters: whether a rater who answers at random stops the run or is only named on the page.
    remote: where the version is pushed, a folder or s3://bucket/path; "" pins it without a push.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_diaries: int = Field(20, ge=1)
    min_per_class: int = Field(0, ge=0)
    min_chars: int = Field(1, ge=1)
    max_chars: int = Field(2000, ge=1)
    min_hangul: float = Field(0.5, ge=0, le=1)
    mostly: float = Field(0.9, ge=0, le=1)
    near_duplicate: float = Field(0.95, gt=0, le=1)
    max_near_duplicates: float = Field(0.5, ge=0, le=1)
    previous: InputFile | None = None
    max_drift: float = Field(0.2, ge=0, le=1)
    personal_data: Literal["stop", "mask", "allow"] = "stop"
    random_raters: Literal["stop", "tell"] = "tell"
    remote: str = ""

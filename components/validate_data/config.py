from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """What a data set must be before anything is trained on it.

    min_diaries: rated diaries at the least. min_chars, max_chars: a diary's length in characters.
    min_hangul: the share of a text's letters that are Hangul; `mostly` of the diaries must reach it.
    remote: where the version is pushed, a folder or s3://bucket/path; "" pins it without a push.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_diaries: int = Field(20, ge=1)
    min_chars: int = Field(1, ge=1)
    max_chars: int = Field(2000, ge=1)
    min_hangul: float = Field(0.5, ge=0, le=1)
    mostly: float = Field(0.9, ge=0, le=1)
    remote: str = ""

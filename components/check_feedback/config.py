from pydantic import BaseModel, ConfigDict, Field

from memozy.stages import InputFile


class Config(BaseModel):
    """When new ratings are worth a run.

    ratings: the ratings file. known: what an earlier run was trained on, a `validated` folder or a
    ratings.parquet; null where there was none. min_new: ratings not yet known; min_per_class: of
    these, at each rating level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratings: InputFile
    known: InputFile | None = None
    min_new: int = Field(50, ge=1)
    min_per_class: int = Field(0, ge=0)

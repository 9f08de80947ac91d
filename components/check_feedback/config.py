from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.rating_files.scale import Scale
from memozy.stages import InputFile


class Config(BaseModel):
    """When new feedback is worth a run: where there is enough of it and of every class, or where it has drifted.

    ratings: files of ratings, with scale and allowed_hosts as import_ratings takes them. store: count what users did, by
    the feedback store (MEMOZY_FEEDBACK), published or not. known: what an earlier run was trained on, a `validated` folder
    or a ratings.parquet, which knows no reaction; null where there was none. min_new: ratings and reactions not yet known,
    together; min_per_class: of these, at each rating level.
    drift: the Jensen-Shannon divergence, in bits, beyond which new ratings or texts alone are worth a run (0.045 is a
    population stability index of 0.25, which counts as major); 0: only counts decide. min_for_drift: below so many newly
    rated diaries, or new texts, drift is not looked at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratings: InputFile | tuple[InputFile, ...] | None = Field(None, min_length=1)
    allowed_hosts: tuple[str, ...] = ()
    scale: Scale | None = None
    store: bool = False
    known: InputFile | None = None
    min_new: int = Field(50, ge=1)
    min_per_class: int = Field(0, ge=0)
    drift: float = Field(0.045, ge=0, le=1)
    min_for_drift: int = Field(30, ge=1)

    @model_validator(mode="after")
    def _looks_somewhere(self):
        if self.ratings is None and not self.store:
            raise ValueError("name the 'ratings' to look at, or the 'store', or both")
        return self

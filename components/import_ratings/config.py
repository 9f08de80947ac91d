from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.rating_files.scale import Scale
from memozy.records import SIMULATED
from memozy.stages import InputFile


class Config(BaseModel):
    """Where ratings and users' reactions come from.

    path: a ratings file, a folder of them, or several such places; s3:// and https:// too; or "simulated" for the
    micro-world's panel. What format a file has, its content tells. allowed_hosts: those that https:// may lead to.
    scale: what marks other than ours mean, {"1": -1, "2": -0.5, …}; null where files hold our levels.
    max_quarantined: the share of bad rows above which the run stops; rows that nobody rated are not bad.
    events: the app's event log, or the folder of its published batches. store: instead, the folder that what is new in
    the feedback store (MEMOZY_FEEDBACK) is published into, and read from; a run that is resumed keeps the events it had.
    raters_per_diary, double_rated, seed: for the simulated panel; `double_rated` is the share of
    diaries that one rater more than `raters_per_diary` sees, so that agreement can be measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: InputFile | tuple[InputFile, ...] = Field(SIMULATED, min_length=1)
    allowed_hosts: tuple[str, ...] = ()
    scale: Scale | None = None
    max_quarantined: float = Field(0.0, ge=0, le=1)
    events: InputFile | None = None
    store: str | None = Field(None, min_length=1)  # no InputFile: what is published later is no change of the run
    raters_per_diary: int = Field(1, ge=1)
    double_rated: float = Field(0.15, ge=0, le=1)
    seed: int = 0

    @model_validator(mode="after")
    def _events_come_from_one_place(self):
        if self.store is not None and self.events is not None:
            raise ValueError("name a log or published batches as 'events', or the folder of the 'store', not both")
        return self

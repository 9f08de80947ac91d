from pydantic import BaseModel, ConfigDict, Field

from memozy.stages import InputFile


class Config(BaseModel):
    """Where ratings come from.

    path: a ratings file (CSV, JSONL, JSON, XLSX, Parquet), or "simulated" for the micro-world's panel.
    max_quarantined: the share of bad rows above which the run stops.
    raters_per_diary, double_rated, seed: for the simulated panel; `double_rated` is the share of
    diaries that one rater more than `raters_per_diary` sees, so that agreement can be measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: InputFile = "simulated"
    max_quarantined: float = Field(0.0, ge=0, le=1)
    raters_per_diary: int = Field(1, ge=1)
    double_rated: float = Field(0.15, ge=0, le=1)
    seed: int = 0

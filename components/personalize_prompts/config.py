"""Settings of `personalize_prompts`."""

from pydantic import BaseModel, ConfigDict, Field

from memozy.stages import InputFile


class Config(BaseModel):
    """A segment departs from the adopted prompt only where its users are shown to prefer another.

    feedback: the app's log of showings and reactions; without one, everyone is given the adopted prompt. exploration:
    the share of showings that the other prompts get, so that the next log can tell them apart; none of them may get more
    than the one that is given, hence at most half.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    feedback: InputFile | None = None
    exploration: float = Field(0.1, gt=0, le=0.5)
    confidence: float = Field(0.95, gt=0.5, lt=1)  # that no segment departs wrongly, over all of them together
    spread: float = Field(0.2, gt=0)  # scale of how far a segment's values of the prompts lie from everyone's
    min_propensity: float = Field(0.01, gt=0, le=1)  # a smaller one counts as this: less variance for some bias
    seed: int = 0

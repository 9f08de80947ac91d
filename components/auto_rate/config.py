from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """How drafts are rated by what users made of them.

    min_calibration: so many drafts that met with a reaction of a kind must have human ratings, before what that kind
    is worth is learnt from them; until then it counts by the plain rule. Of 50 machine translations and their edits
    enough is learnt to lie a third nearer to people than the rule does. folds, seed: of the cross-validation that tells
    how good the surrogates are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_calibration: int = Field(50, ge=10)
    folds: int = Field(10, ge=2, le=10)
    seed: int = 0

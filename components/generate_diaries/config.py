"""Settings of `generate_diaries`."""

from itertools import product

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.llm import LLMConfig
from memozy.stages import InputFile, Limit

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
Words = tuple[str, ...]


class Config(BaseModel):
    """Each context is written `per_context` times: half by the incumbent, half by prompts tried before it.

    The contexts are the first `n_contexts` of a file; or, where `photos` names a folder, `per_photo` for each photo in
    it and below it, each with a place, companions and a mood drawn from the lists.
    send_images: the model sees the photo, as a JPEG of at most `image_side` pixels a side; else it gets text alone.
    max_failed: the share of photos, and of answers, that may fail before the stage stops.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contexts: InputFile = "data/contexts.jsonl"
    n_contexts: int = Field(150, ge=1)
    photos: InputFile | None = None
    per_photo: int = Field(5, ge=1)
    places: Words = ("부산", "서울", "여수", "춘천")
    people: Words = ("혼자", "친구", "가족")
    moods: Words = ("즐거움", "행복")
    send_images: bool = False
    image_side: int = Field(768, ge=64)
    prompts: InputFile = "data/prompts.jsonl"  # the first row is the incumbent
    per_context: int = Field(4, ge=1)
    llm: LLMConfig = LLMConfig()
    max_failed: Limit[float] = Field(0.05, ge=0, le=1)
    seed: int = 0

    @model_validator(mode="after")
    def _possible(self):
        if self.send_images and self.llm.backend == "local":
            raise ValueError("send_images needs a model that sees, behind an endpoint: set llm.backend to openai")
        kinds = len(set(product(self.places, self.people, self.moods)))
        if self.photos is not None and self.per_photo > kinds:
            raise ValueError(f"per_photo is {self.per_photo}, but places, people and moods make {kinds} contexts")
        return self

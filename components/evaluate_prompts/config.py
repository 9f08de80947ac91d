"""Settings of `evaluate_prompts`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from memozy.llm import LLMConfig
from memozy.records import SIMULATED
from memozy.stages import InputFile

RaterName = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]{0,39}$")]  # it names the rater's sheet


class Config(BaseModel):
    """One prompt is adopted when, with probability `confidence`, it is within `epsilon` of the best.

    scorer: what every diary is scored by. "reward" (the reward model) and "judge" (an LLM, see `judge`) are cheap and
    may be biased: people's ratings of some diaries correct them. "human": no score, every diary is rated. "verifier"
    (task qna): the score is the truth, nobody rates. "feedback": no diary is written; users' reactions in the app to
    the prompts it showed, `feedback`, are what decides.
    rule: "planned" adopts at planned looks, with the stated confidence; "classic" adopts the arm with the highest mean
    score after `pulls_per_look` pulls, as the first team did, and states none.
    ratings: where human ratings come from: "simulated"; the filled-in sheets (a file, or the folder `to_rate`) of the
    evaluation in `previous`; or nothing, and the run ends with sheets to rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["diary", "qna"] = "diary"
    contexts: InputFile = "data/evaluation_contexts.jsonl"  # never seen in training or proposing; for qna the questions
    n_contexts: int = Field(400, ge=2)
    llm: LLMConfig = LLMConfig()  # writes the diaries, or answers the questions
    scorer: Literal["reward", "judge", "human", "verifier", "feedback"] = "reward"
    judge: LLMConfig | None = None  # who judges
    examples_per_level: int = Field(2, ge=0)  # rated training diaries shown to the judge, for each level
    feedback: InputFile | None = None  # the app's event log (memozy.records.EVENTS)
    reaction_days: float = Field(1.0, ge=0)  # a showing counts when it is so old in the log: until then users may react
    sampler: Literal["ucb1", "kl_ucb", "epsilon_greedy", "thompson", "top_two", "track_and_stop", "uniform"] = "ucb1"
    rule: Literal["planned", "classic"] = "planned"
    confidence: float = Field(0.95, gt=0.5, lt=1)
    epsilon: float = Field(0.1, ge=0)  # indifference margin, in rating units
    looks: int = Field(4, ge=1)  # planned looks: an undecided evaluation ends after so many rounds
    pulls_per_look: int = Field(480, ge=20)  # diaries written and scored, over all arms
    ratings_per_look: int = Field(120, ge=20)  # human ratings, over all arms
    pulls_at_once: int = Field(64, ge=1)  # the sampler learns of so many scores together
    raters: tuple[RaterName, ...] = Field(("rater-1", "rater-2"), min_length=1)  # a sheet for each
    double_rated: float = Field(0.1, ge=0, le=1)  # share of the contexts that a second rater rates too
    ratings: InputFile | None = None
    previous: InputFile | None = None  # the folder with the `pulls` and the `decision` of the round before this one
    seed: int = 0

    @property
    def needs_people(self) -> bool:
        """Whether human ratings take part in the decision."""
        return self.rule == "planned" and self.scorer in ("reward", "judge", "human")

    @model_validator(mode="after")
    def _fits_together(self):
        if self.ratings not in (None, SIMULATED) and self.previous is None:
            raise ValueError("ratings from a file answer an earlier to_rate: give its round as 'previous'")
        if self.ratings is not None and not self.needs_people:
            raise ValueError(f"with rule '{self.rule}' and scorer '{self.scorer}' nobody rates: leave 'ratings' out")
        if (self.scorer == "verifier") != (self.task == "qna"):
            raise ValueError("task 'qna' is scored by scorer 'verifier', and no other task is")
        if (self.scorer == "judge") != (self.judge is not None):
            raise ValueError("scorer 'judge' and the settings in 'judge' need each other")
        if (self.scorer == "feedback") != (self.feedback is not None):
            raise ValueError("scorer 'feedback' and the event log 'feedback' need each other")
        if self.rule == "classic" and self.scorer in ("human", "feedback"):
            raise ValueError("rule 'classic' needs a scorer that answers at once: reward, judge or verifier")
        if len(set(self.raters)) < len(self.raters):
            raise ValueError("two raters have one name")
        if self.double_rated and len(self.raters) < 2:
            raise ValueError("double_rated needs two raters; with one, set it to 0")
        return self

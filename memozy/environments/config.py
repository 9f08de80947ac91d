"""What a policy is trained in: its task, and the inputs that its responses are tried on."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from memozy.stages import InputFile

READ = {  # task -> the files it cannot do without, and where they lie unless said otherwise
    "prompt/diary": {"contexts": "data/contexts.jsonl"},
    "prompt/qna": {"questions": "data/questions.jsonl"},
    "response/diary": {"contexts": "data/contexts.jsonl", "prompts": "data/prompts.jsonl"},
}


class EnvironmentConfig(BaseModel):
    """task: "prompt/diary": a response is a prompt template, worth what the diaries are worth that `llm` writes by it.
    "prompt/qna": it is one for questions, worth what the answers of `llm` are worth. "response/diary": it is a diary.

    contexts, questions, prompts: read by the tasks that need them (READ); a file the task doesn't need may be left out.
    start_states: JSONL of queries made to lead a policy astray, which take the place of `adversarial_share` of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["prompt/diary", "prompt/qna", "response/diary"] = "prompt/diary"
    contexts: InputFile | None = None
    n_contexts: int = Field(150, ge=1)
    questions: InputFile | None = None
    n_questions: int = Field(120, ge=1)
    answers: Literal["numbers", "texts"] = "numbers"  # of the choices: what a model in this process answers with
    prompts: InputFile | None = None  # its first row is the prompt that response/diary answers
    inputs_per_prompt: int = Field(2, ge=1)  # contexts or questions, the same for all prompts of an update
    pessimism: float = Field(0.0, ge=0)  # uncertainties of the reward model taken from every diary's score
    start_states: InputFile | None = None
    adversarial_share: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _files_of_the_task(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        given = {key: value for key, value in values.items() if value is not None}
        return READ.get(str(given.get("task", "prompt/diary")), {}) | given

    @model_validator(mode="after")
    def _inputs_go_round(self):
        key = {"prompt/diary": "n_contexts", "prompt/qna": "n_questions"}.get(self.task)
        if key and self.inputs_per_prompt > getattr(self, key):
            raise ValueError(f"inputs_per_prompt cannot be more than {key}")
        if bool(self.start_states) != bool(self.adversarial_share):
            raise ValueError("start_states and adversarial_share go together")
        return self

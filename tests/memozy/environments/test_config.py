"""The settings: what each task reads, and what does not fit together."""

import pytest
from pydantic import ValidationError

from memozy.environments.config import EnvironmentConfig


def files(config):
    return {key for key in ("contexts", "questions", "prompts") if getattr(config, key)}


def test_only_the_files_of_the_task_are_inputs():
    assert files(EnvironmentConfig()) == {"contexts"}
    assert files(EnvironmentConfig(task="prompt/qna")) == {"questions"}
    assert files(EnvironmentConfig(task="response/diary")) == {"contexts", "prompts"}
    assert EnvironmentConfig(contexts=None).contexts == "data/contexts.jsonl"
    assert EnvironmentConfig(task="prompt/qna", questions="mine.jsonl").questions == "mine.jsonl"


@pytest.mark.parametrize("task", ["prompt/diary", "prompt/qna", "response/diary"])
def test_a_config_without_its_nulls_is_the_same_config(task):
    config = EnvironmentConfig(task=task, n_questions=7)
    assert EnvironmentConfig.model_validate(config.model_dump(mode="json", exclude_none=True)) == config


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"inputs_per_prompt": 3, "n_contexts": 2}, "inputs_per_prompt cannot be more than n_contexts"),
        ({"task": "prompt/qna", "inputs_per_prompt": 3, "n_questions": 2}, "more than n_questions"),
        ({"start_states": "starts.jsonl"}, "start_states and adversarial_share go together"),
        ({"adversarial_share": 0.1}, "start_states and adversarial_share go together"),
        ({"task": ["prompt/qna"]}, "task"),
        ({"rollouts": 3}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_together_is_said(values, problem):
    with pytest.raises(ValidationError, match=problem):
        EnvironmentConfig(**values)

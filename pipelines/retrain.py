"""`retrain`: the whole loop again, but only when enough new ratings have come in."""

from kfp import dsl

from components.check_feedback.component import check_feedback
from pipelines.optimize_prompt import optimize_prompt


@dsl.pipeline(name="retrain", description="Optimize the prompt again when enough new feedback has come in.")
def retrain(
    feedback: dict = {},
    diaries: dict = {},
    ratings: dict = {},
    surrogates: dict = {},
    validation: dict = {},
    split: dict = {},
    oversample: dict = {},
    reward: dict = {},
    sampling: dict = {},
    sft: dict = {},
    dpo: dict = {},
    ppo: dict = {},
    proposals: dict = {},
    evaluation: dict = {},
    personal: dict = {},
    truth: dict = {},
    registration: dict = {},
    report: dict = {},
):
    gate = check_feedback(config=feedback)
    gate.set_caching_options(False)  # the same settings can find new feedback
    with dsl.If(gate.output == True, name="enough-feedback"):  # noqa: E712 - a condition to compile, not a value
        optimize_prompt(
            diaries=diaries, ratings=ratings, surrogates=surrogates, validation=validation, split=split, oversample=oversample,
            reward=reward, sampling=sampling, sft=sft, dpo=dpo, ppo=ppo, proposals=proposals, evaluation=evaluation,
            personal=personal, truth=truth, registration=registration, report=report,
        )  # fmt: skip

"""`optimize_prompt`: the whole loop. Every parameter is one stage's settings; what is left out is the stage's default."""

from kfp import dsl

from components.evaluate_prompts.component import evaluate_prompts
from components.personalize_prompts.component import personalize_prompts
from components.propose_prompts.component import propose_prompts
from components.register_models.component import register_models
from components.reveal_truth.component import reveal_truth
from components.write_report.component import write_report
from pipelines.train_policy import train_models


@dsl.pipeline(name="optimize-prompt", description="From ratings to an adopted prompt, and the models behind it.")
def optimize_prompt(
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
    trained = train_models(
        diaries, ratings, surrogates, validation, split, oversample, reward, sampling, sft, dpo, ppo)
    version, judge = trained.data.outputs["version"], trained.reward.outputs["reward"]
    policies = {"sft": trained.sft.outputs["sft"], "policy": trained.ppo.outputs["policy"]}

    rated = trained.oversampled.outputs["oversampled"]
    proposed = propose_prompts(config=proposals, reward=judge, oversampled=rated, **policies)
    arms = proposed.outputs["arms"]
    evaluated = evaluate_prompts(
        config=evaluation, arms=arms, reward=judge, oversampled=rated, used_contexts=proposed.outputs["used_contexts"]
    )
    decision = evaluated.outputs["decision"]
    personalize_prompts(config=personal, arms=arms, decision=decision)
    revealed = reveal_truth(config=truth, arms=arms, decision=decision, **policies)
    registered = register_models(
        config=registration, reward=judge, policy=policies["policy"], arms=arms, decision=decision, version=version
    )
    write_report(
        config=report,
        oversampled=rated,
        reward=judge,
        curves=trained.ppo.outputs["curves"],
        samples=trained.ppo.outputs["samples"],
        arms=arms,
        pulls=evaluated.outputs["pulls"],
        decision=decision,
        truth=revealed.outputs["truth"],
        version=version,
        registered=registered.outputs["registered"],
    )

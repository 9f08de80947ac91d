"""`train_policy`: from contexts and ratings to a reward model, and to a policy trained against it.

`recipe` says which of the four ways to train it are taken, in this order: sampling (the best of many by the reward model),
sft, dpo, ppo. A stage that is not taken hands on what it got. Nothing is registered here: a policy becomes a candidate
together with the evaluation that judged its prompts, which is `optimize_prompt`. That pipeline begins with the same
tasks, by `train_models`.
"""

from typing import NamedTuple

from kfp import dsl

from components.auto_rate.component import auto_rate
from components.generate_diaries.component import generate_diaries
from components.import_ratings.component import import_ratings
from components.oversample.component import oversample as oversample_training_rows
from components.sample_and_filter.component import sample_and_filter
from components.split_data.component import split_data
from components.train_dpo.component import train_dpo
from components.train_ppo.component import train_ppo
from components.train_reward.component import train_reward
from components.train_sft.component import train_sft
from components.validate_data.component import validate_data


class Trained(NamedTuple):
    """The tasks whose outputs later stages read."""

    data: dsl.PipelineTask
    oversampled: dsl.PipelineTask
    reward: dsl.PipelineTask
    sft: dsl.PipelineTask
    ppo: dsl.PipelineTask


def train_models(diaries, ratings, surrogates, validation, split, oversample, reward, sampling, sft, dpo, ppo) -> Trained:
    """Ratings -> reward model -> policy. Arguments: the stages' settings."""
    written = generate_diaries(config=diaries)
    rated = import_ratings(config=ratings, diaries=written.outputs["diaries"], contexts=written.outputs["contexts"])
    rated.set_caching_options(False)  # the same settings find other files, and newer feedback
    people = {name: rated.outputs[name] for name in ("ratings", "rated_diaries")}
    users = auto_rate(config=surrogates, events=rated.outputs["events"], **people)
    data = validate_data(config=validation, surrogates=users.outputs["surrogates"], **people)
    groups = split_data(config=split, validated=data.outputs["validated"])
    oversampled = oversample_training_rows(config=oversample, rated=groups.outputs["rated"])
    judge = train_reward(config=reward, oversampled=oversampled.outputs["oversampled"])
    scored_by = {"reward": judge.outputs["reward"]}
    kept = sample_and_filter(config=sampling, **scored_by)
    base = train_sft(config=sft, kept=kept.outputs["kept"])
    preferring = train_dpo(
        config=dpo, sft=base.outputs["sft"], pairs=kept.outputs["pairs"], oversampled=oversampled.outputs["oversampled"]
    )
    tuned = train_ppo(config=ppo, start=preferring.outputs["dpo"], gold=judge.outputs["gold"], **scored_by)
    return Trained(data, oversampled, judge, base, tuned)


@dsl.pipeline(name="train-policy", description="Ratings to a reward model, and a policy trained against it.")
def train_policy(
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
):
    train_models(diaries, ratings, surrogates, validation, split, oversample, reward, sampling, sft, dpo, ppo)

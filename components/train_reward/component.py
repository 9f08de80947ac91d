"""train_reward as a pipeline task."""

from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_reward(
    oversampled: dsl.Input[dsl.Dataset],
    config: dict,
    reward: dsl.Output[dsl.Model],
    gold: dsl.Output[dsl.Model],
    reward_report: dsl.Output[dsl.HTML],
):
    """Compare reward models on the training rows, fit the champion, test it once, and fit a gold model to guard it."""
    from memozy.stages import execute

    outputs = {"reward": reward.path, "gold": gold.path, "reward_report": reward_report.path}
    execute("train_reward", config, {"oversampled": oversampled.path}, outputs)

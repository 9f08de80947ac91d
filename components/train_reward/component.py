"""train_reward as a pipeline task."""

from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def train_reward(oversampled: dsl.Input[dsl.Dataset], config: dict, reward: dsl.Output[dsl.Model]):
    """Compare reward models on the training rows, fit the champion and test it once."""
    from memozy.stages import execute

    execute("train_reward", config, {"oversampled": oversampled.path}, {"reward": reward.path})

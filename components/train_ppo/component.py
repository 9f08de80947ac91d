from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_ppo(
    sft: dsl.Input[dsl.Model],
    reward: dsl.Input[dsl.Model],
    config: dict,
    policy: dsl.Output[dsl.Model],
    curves: dsl.Output[dsl.Artifact],
    samples: dsl.Output[dsl.Artifact],
):
    """Train the prompt policy by PPO against the reward model."""
    from memozy.stages import execute

    inputs = {"sft": sft.path, "reward": reward.path}
    execute("train_ppo", config, inputs, {"policy": policy.path, "curves": curves.path, "samples": samples.path})

from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_ppo(
    start: dsl.Input[dsl.Model],
    config: dict,
    policy: dsl.Output[dsl.Model],
    curves: dsl.Output[dsl.Artifact],
    samples: dsl.Output[dsl.Artifact],
    ppo_report: dsl.Output[dsl.HTML],
    reward: dsl.Input[dsl.Model] = None,
    gold: dsl.Input[dsl.Model] = None,
):
    """Train a policy by reinforcement learning, watched by a gold model."""
    from memozy.stages import execute

    inputs = {"start": start.path, "reward": reward and reward.path, "gold": gold and gold.path}
    outputs = {"policy": policy, "curves": curves, "samples": samples, "ppo_report": ppo_report}
    execute("train_ppo", config, inputs, {name: artifact.path for name, artifact in outputs.items()})

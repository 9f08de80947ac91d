from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def propose_prompts(
    sft: dsl.Input[dsl.Model],
    policy: dsl.Input[dsl.Model],
    reward: dsl.Input[dsl.Model],
    config: dict,
    arms: dsl.Output[dsl.Dataset],
):
    """Sample challengers from the policies; the incumbent comes first."""
    from memozy.stages import execute

    inputs = {"sft": sft.path, "policy": policy.path, "reward": reward.path}
    execute("propose_prompts", config, inputs, {"arms": arms.path})

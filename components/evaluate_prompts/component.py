from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def evaluate_prompts(
    arms: dsl.Input[dsl.Dataset],
    reward: dsl.Input[dsl.Model],
    config: dict,
    pulls: dsl.Output[dsl.Dataset],
    decision: dsl.Output[dsl.Artifact],
    to_rate: dsl.Output[dsl.Artifact],
):
    """Compare the arms and decide with a stated confidence."""
    from memozy.stages import execute

    inputs = {"arms": arms.path, "reward": reward.path}
    execute(
        "evaluate_prompts", config, inputs, {"pulls": pulls.path, "decision": decision.path, "to_rate": to_rate.path}
    )

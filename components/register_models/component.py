from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def register_models(
    reward: dsl.Input[dsl.Model],
    policy: dsl.Input[dsl.Model],
    arms: dsl.Input[dsl.Dataset],
    decision: dsl.Input[dsl.Artifact],
    version: dsl.Input[dsl.Artifact],
    config: dict,
    registered: dsl.Output[dsl.Artifact],
):
    """Register what passes its gate as candidates for review."""
    from memozy.stages import execute

    inputs = {
        "reward": reward.path,
        "policy": policy.path,
        "arms": arms.path,
        "decision": decision.path,
        "version": version.path,
    }
    execute("register_models", config, inputs, {"registered": registered.path})

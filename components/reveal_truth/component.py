from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def reveal_truth(
    arms: dsl.Input[dsl.Dataset],
    sft: dsl.Input[dsl.Model],
    policy: dsl.Input[dsl.Model],
    decision: dsl.Input[dsl.Artifact],
    config: dict,
    truth: dsl.Output[dsl.Artifact],
):
    """In the micro-world only: was the decision right?"""
    from memozy.stages import execute

    inputs = {"arms": arms.path, "sft": sft.path, "policy": policy.path, "decision": decision.path}
    execute("reveal_truth", config, inputs, {"truth": truth.path})

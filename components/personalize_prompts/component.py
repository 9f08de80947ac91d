from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def personalize_prompts(
    arms: dsl.Input[dsl.Dataset],
    decision: dsl.Input[dsl.Artifact],
    config: dict,
    allocation: dsl.Output[dsl.Artifact],
    personal_report: dsl.Output[dsl.HTML],
):
    """Who is shown which prompt, with what chance."""
    from memozy.stages import execute

    inputs = {"arms": arms.path, "decision": decision.path}
    outputs = {"allocation": allocation.path, "personal_report": personal_report.path}
    execute("personalize_prompts", config, inputs, outputs)

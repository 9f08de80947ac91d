from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def evaluate_prompts(
    arms: dsl.Input[dsl.Dataset],
    reward: dsl.Input[dsl.Model],
    oversampled: dsl.Input[dsl.Dataset],
    used_contexts: dsl.Input[dsl.Artifact],
    config: dict,
    pulls: dsl.Output[dsl.Dataset],
    decision: dsl.Output[dsl.Artifact],
    decision_report: dsl.Output[dsl.HTML],
    to_rate: dsl.Output[dsl.Artifact],
):
    """Compare the arms and decide with a stated confidence."""
    from memozy.stages import execute

    inputs = {
        "arms": arms.path,
        "reward": reward.path,
        "oversampled": oversampled.path,
        "used_contexts": used_contexts.path,
    }
    outputs = {
        "pulls": pulls.path,
        "decision": decision.path,
        "decision_report": decision_report.path,
        "to_rate": to_rate.path,
    }
    execute("evaluate_prompts", config, inputs, outputs)

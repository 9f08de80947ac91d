from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def propose_prompts(
    sft: dsl.Input[dsl.Model],
    policy: dsl.Input[dsl.Model],
    reward: dsl.Input[dsl.Model],
    oversampled: dsl.Input[dsl.Dataset],
    config: dict,
    arms: dsl.Output[dsl.Dataset],
    used_contexts: dsl.Output[dsl.Dataset],
    writers: dsl.Output[dsl.Artifact],
    proposals_report: dsl.Output[dsl.HTML],
):
    """Challengers from the policies and from language models, and how their writers compare."""
    from memozy.stages import execute

    inputs = {"sft": sft.path, "policy": policy.path, "reward": reward.path, "oversampled": oversampled.path}
    outputs = {
        "arms": arms.path, "used_contexts": used_contexts.path, "writers": writers.path,
        "proposals_report": proposals_report.path,
    }  # fmt: skip
    execute("propose_prompts", config, inputs, outputs)

"""train_sft as a pipeline task."""

from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_sft(
    config: dict,
    sft: dsl.Output[dsl.Model],
    quarantined: dsl.Output[dsl.Artifact],
    kept: dsl.Input[dsl.Dataset] = None,
):
    """Teach the policy its task from instruction data, and from kept samples where there are any."""
    from memozy.stages import execute

    inputs = {"kept": kept.path if kept else None}
    execute("train_sft", config, inputs, {"sft": sft.path, "quarantined": quarantined.path})

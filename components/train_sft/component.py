from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_sft(
    config: dict,
    sft: dsl.Output[dsl.Model],
):
    """Teach the prompt policy its task from instruction data."""
    from memozy.stages import execute

    execute("train_sft", config, {}, {"sft": sft.path})

"""train_dpo as a pipeline task."""

from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_dpo(
    sft: dsl.Input[dsl.Model],
    config: dict,
    dpo: dsl.Output[dsl.Model],
    oversampled: dsl.Input[dsl.Dataset] = None,
    pairs: dsl.Input[dsl.Dataset] = None,
):
    """Teach the policy what was preferred to what."""
    from memozy.stages import execute

    optional = {"oversampled": oversampled.path if oversampled else None, "pairs": pairs.path if pairs else None}
    execute("train_dpo", config, {"sft": sft.path} | optional, {"dpo": dpo.path})

from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def sample_and_filter(
    config: dict,
    kept: dsl.Output[dsl.Dataset],
    pairs: dsl.Output[dsl.Dataset],
    reward: dsl.Input[dsl.Model] = None,
):
    """The best of a policy's own answers, to teach it again."""
    from memozy.stages import execute

    inputs = {"reward": reward.path if reward else None}
    execute("sample_and_filter", config, inputs, {"kept": kept.path, "pairs": pairs.path})

from kfp import dsl

from pipelines.images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def generate_diaries(
    config: dict,
    diaries: dsl.Output[dsl.Dataset],
    contexts: dsl.Output[dsl.Dataset],
    failures: dsl.Output[dsl.Artifact],
):
    """Diaries by the incumbent and by prompts tried before it, for people to rate."""
    from memozy.stages import execute

    execute(
        "generate_diaries",
        config,
        {},
        {"diaries": diaries.path, "contexts": contexts.path, "failures": failures.path},
    )

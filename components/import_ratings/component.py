from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def import_ratings(
    diaries: dsl.Input[dsl.Dataset],
    contexts: dsl.Input[dsl.Dataset],
    config: dict,
    ratings: dsl.Output[dsl.Dataset],
    rated_diaries: dsl.Output[dsl.Dataset],
    quarantine: dsl.Output[dsl.Artifact],
):
    """Take in ratings from a file, or from the simulated panel."""
    from memozy.stages import execute

    execute(
        "import_ratings",
        config,
        {"diaries": diaries.path, "contexts": contexts.path},
        {"ratings": ratings.path, "rated_diaries": rated_diaries.path, "quarantine": quarantine.path},
    )

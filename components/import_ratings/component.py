from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def import_ratings(
    diaries: dsl.Input[dsl.Dataset],
    contexts: dsl.Input[dsl.Dataset],
    config: dict,
    ratings: dsl.Output[dsl.Dataset],
    rated_diaries: dsl.Output[dsl.Dataset],
    events: dsl.Output[dsl.Dataset],
    quarantine: dsl.Output[dsl.Artifact],
):
    """Take in ratings from files, or from the simulated panel, and what users made of what the app showed them."""
    from memozy.stages import execute

    execute(
        "import_ratings",
        config,
        {"diaries": diaries.path, "contexts": contexts.path},
        {
            "ratings": ratings.path,
            "rated_diaries": rated_diaries.path,
            "events": events.path,
            "quarantine": quarantine.path,
        },
    )

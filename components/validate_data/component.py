from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def validate_data(
    ratings: dsl.Input[dsl.Dataset],
    rated_diaries: dsl.Input[dsl.Dataset],
    config: dict,
    validated: dsl.Output[dsl.Dataset],
    version: dsl.Output[dsl.Artifact],
    validation: dsl.Output[dsl.HTML],
):
    """Check ratings and their diaries against the rules, and pin what passed as a version of the data set."""
    from memozy.stages import execute

    execute(
        "validate_data",
        config,
        {"ratings": ratings.path, "rated_diaries": rated_diaries.path},
        {"validated": validated.path, "version": version.path, "validation": validation.path},
    )

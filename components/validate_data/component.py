from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def validate_data(
    ratings: dsl.Input[dsl.Dataset],
    rated_diaries: dsl.Input[dsl.Dataset],
    surrogates: dsl.Input[dsl.Dataset],
    config: dict,
    validated: dsl.Output[dsl.Dataset],
    version: dsl.Output[dsl.Artifact],
    checks: dsl.Output[dsl.Artifact],
    validation: dsl.Output[dsl.HTML],
):
    """Check ratings, surrogates and their diaries against the rules, and pin what passed as a version of the data set."""
    from memozy.stages import execute

    inputs = {"ratings": ratings.path, "rated_diaries": rated_diaries.path, "surrogates": surrogates.path}
    outputs = {"validated": validated, "version": version, "checks": checks, "validation": validation}
    execute("validate_data", config, inputs, {name: artifact.path for name, artifact in outputs.items()})

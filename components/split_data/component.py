from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def split_data(
    validated: dsl.Input[dsl.Dataset],
    config: dict,
    rated: dsl.Output[dsl.Dataset],
    quarantine: dsl.Output[dsl.Artifact],
):
    """Split the diaries so that no photo and no text stands on both sides."""
    from memozy.stages import execute

    execute("split_data", config, {"validated": validated.path}, {"rated": rated.path, "quarantine": quarantine.path})

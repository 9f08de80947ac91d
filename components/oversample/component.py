from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def oversample(
    rated: dsl.Input[dsl.Dataset],
    config: dict,
    oversampled: dsl.Output[dsl.Dataset],
    oversample_report: dsl.Output[dsl.HTML],
):
    """Say how often a trainer counts each row, so that rare ratings are learnt too."""
    from memozy.stages import execute

    outputs = {"oversampled": oversampled.path, "oversample_report": oversample_report.path}
    execute("oversample", config, {"rated": rated.path}, outputs)

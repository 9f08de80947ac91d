from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def auto_rate(
    events: dsl.Input[dsl.Dataset],
    ratings: dsl.Input[dsl.Dataset],
    rated_diaries: dsl.Input[dsl.Dataset],
    config: dict,
    surrogates: dsl.Output[dsl.Dataset],
    auto_report: dsl.Output[dsl.HTML],
):
    """Rate drafts by what users made of them: surrogates, which are no human's ratings."""
    from memozy.stages import execute

    inputs = {"events": events.path, "ratings": ratings.path, "rated_diaries": rated_diaries.path}
    execute("auto_rate", config, inputs, {"surrogates": surrogates.path, "auto_report": auto_report.path})

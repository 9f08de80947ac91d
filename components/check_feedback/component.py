from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def check_feedback(config: dict) -> bool:
    """Whether there are enough new ratings for a run."""
    from memozy.stages import execute

    return bool(execute("check_feedback", config, {}, {}).metrics["enough"])

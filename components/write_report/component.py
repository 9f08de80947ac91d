from kfp import dsl

from pipelines.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def write_report(
    oversampled: dsl.Input[dsl.Dataset],
    reward: dsl.Input[dsl.Model],
    curves: dsl.Input[dsl.Artifact],
    samples: dsl.Input[dsl.Artifact],
    arms: dsl.Input[dsl.Dataset],
    pulls: dsl.Input[dsl.Dataset],
    decision: dsl.Input[dsl.Artifact],
    truth: dsl.Input[dsl.Artifact],
    version: dsl.Input[dsl.Artifact],
    registered: dsl.Input[dsl.Artifact],
    config: dict,
    report: dsl.Output[dsl.HTML],
):
    """The run's decision and its evidence as one self-contained HTML page."""
    from memozy.stages import execute

    inputs = {
        "oversampled": oversampled.path, "reward": reward.path, "curves": curves.path, "samples": samples.path,
        "arms": arms.path, "pulls": pulls.path, "decision": decision.path, "truth": truth.path,
        "version": version.path, "registered": registered.path,
    }  # fmt: skip
    execute("write_report", config, inputs, {"report": report.path})

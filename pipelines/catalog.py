"""The pipelines by name, and their compiled form. kfp is imported only when one is loaded."""

import importlib
from pathlib import Path

PIPELINES = {
    "optimize_prompt": "the whole loop: ratings, reward model, PPO, challengers, evaluation, decision, report",
    "train_policy": "the reward model and the policy alone, by SFT, rejection sampling, DPO, PPO: `recipe` says which",
    "train_qna_policy": "a policy that writes prompts for questions whose answers are verified",
    "retrain": "the whole loop again, if enough new feedback has come in",
}


def load(name: str):
    """The pipeline `name`, one of PIPELINES."""
    return getattr(importlib.import_module(f"pipelines.{name}"), name)


def sections(pipeline) -> list[str]:
    """The sections of a run's configuration that a loaded pipeline takes: its parameters."""
    return list(pipeline.pipeline_spec.root.input_definitions.parameters)


def compile_pipeline(name: str, path: Path) -> None:
    """Write the pipeline's IR YAML: what a Kubeflow cluster takes. The run's settings are its parameters."""
    from kfp import compiler

    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(load(name), str(path))


def tasks(spec) -> dict[str, dict]:
    """Every task of a PipelineSpec that runs a stage, nested ones included: name -> its component's spec."""
    from google.protobuf.json_format import MessageToDict

    components = MessageToDict(spec)["components"]
    return {name.removeprefix("comp-"): c for name, c in components.items() if "executorLabel" in c}

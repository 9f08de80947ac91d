"""Register what a run made as candidates in MLflow's registry; a reviewer promotes them."""

import hashlib
import json
import os
from pathlib import Path

from components.register_models import gate
from components.register_models.config import Config
from memozy import records
from memozy.records import InputError
from memozy.reports import without_secrets
from memozy.stages import In, Out, Result


def run(config: Config, *, reward: In, policy: In, arms: In, decision: In, version: In, registered: Out) -> Result:
    """Register reward model, policy and adopted prompt as `<name>-candidate`; write `registered` (JSON) with the versions.

    `registered` names under "skipped" what did not pass its gate, and why. Registering the same files
    for the same pipeline run again finds the version that is there. Raises InputError without a store
    (MLFLOW_TRACKING_URI), or where the reward model is not the one its card describes.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise InputError("there is no store to register in", field="MLFLOW_TRACKING_URI",
                         remedy="Set it in the environment, for example to sqlite:///mlflow.db")  # fmt: skip
    from mlflow.tracking import MlflowClient

    from memozy import tracking
    from memozy.reward import RewardModel

    card = json.loads((reward / "card.json").read_text(encoding="utf-8"))
    if RewardModel.load(reward).model_hash != card["model_hash"]:
        raise InputError("is not the model that its card describes", file=reward / "model.skops", field="model_hash",
                         value=card["model_hash"], remedy="Run train_reward again")  # fmt: skip
    decided = json.loads(decision.read_text(encoding="utf-8"))
    data = json.loads(version.read_text(encoding="utf-8"))
    template = dict(records.read(arms, records.ARMS).select("prompt_id", "template").iter_rows())[decided["prompt_id"]]
    client, run_id = MlflowClient(), tracking.current_run("register_models")
    tags = {
        "run_id": run_id, "decision": decided["decision"], "confidence": str(decided["confidence"]),
        "data_version": data["version"], "reward_hash": card["model_hash"], "prompt_id": decided["prompt_id"],
        "simulated": str(data["simulated"] or decided["simulated"]).lower(),
    }  # fmt: skip
    versions: dict[str, str] = {}
    skipped = {
        f"{name}-candidate": reason
        for name, reason in ((config.reward_name, gate.reward_refusal(card)),
                             (config.prompt_name, gate.prompt_refusal(decided))) if reason
    }  # fmt: skip
    folders = (
        (config.reward_name, reward, gate.describe_reward(card, data)),
        (config.policy_name, policy, gate.describe_policy(card, data)),
    )
    for name, folder, description in ((f"{n}-candidate", f, d) for n, f, d in folders):
        if name not in skipped:
            versions[name] = _register_folder(client, run_id, name, folder, tags, description)
    if (name := f"{config.prompt_name}-candidate") not in skipped:
        versions[name] = _register_prompt(client, name, template, tags, gate.describe_prompt(decided, data))
    result = {**versions, "skipped": skipped, "tracking_uri": without_secrets(os.environ["MLFLOW_TRACKING_URI"])}
    registered.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    return Result(metrics={"registered": len(versions), "skipped": len(skipped)})


def manifest(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, by its path in it: what a later download must match."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _register_folder(client, run_id: str, name: str, folder: Path, tags: dict[str, str], description: str) -> str:
    """A version of the model `name` that holds the folder's files; its manifest is a tag."""
    wanted = {**tags, "manifest": json.dumps(manifest(folder), separators=(",", ":"))}
    if existing := _existing(client, f"name = '{name}'", wanted):
        return existing
    place = f"candidates/{name}"
    client.log_artifacts(run_id, str(folder), place)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    source = f"{client.get_run(run_id).info.artifact_uri}/{place}"
    return str(client.create_model_version(name, source, run_id, tags=wanted, description=description).version)


def _register_prompt(client, name: str, template: str, tags: dict[str, str], description: str) -> str:
    wanted = {**tags, "sha256": hashlib.sha256(template.encode()).hexdigest()}
    if existing := _existing(client, f"name = '{name}' AND tags.`mlflow.prompt.is_prompt` = 'true'", wanted):
        return existing
    return str(client.register_prompt(name, template, commit_message=description, tags=wanted).version)


def _existing(client, which: str, tags: dict[str, str]) -> str | None:
    """The version with these tags, if an earlier attempt of the same run got as far."""
    for found in client.search_model_versions(which):
        if tags.items() <= found.tags.items():
            return str(found.version)
    return None

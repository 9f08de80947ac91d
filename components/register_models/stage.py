"""Register what a run made as candidates in MLflow's registry; a reviewer promotes them."""

import hashlib
import json
import os
from pathlib import Path

from components.register_models import gate, model_card, reward_model, versions
from components.register_models.config import Config
from memozy import records
from memozy.records import InputError
from memozy.reports import without_secrets
from memozy.stages import In, Out, Result, digest


def run(config: Config, *, reward: In, policy: In, arms: In, decision: In, version: In, registered: Out) -> Result:
    """Register reward model, policy and adopted prompt as `<name>-candidate`; write `registered` (JSON) with the versions.

    `registered` names under "skipped" what did not pass its gate, and why. Registering the same files
    for the same pipeline run again finds the version that is there. Raises InputError without a store
    (MLFLOW_TRACKING_URI), or where the reward model is not the one its card describes; RuntimeError
    where it comes back from the store as another one.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise InputError("there is no store to register in", field="MLFLOW_TRACKING_URI",
                         remedy="Set it in the environment, for example to sqlite:///mlflow.db")  # fmt: skip
    from mlflow.tracking import MlflowClient

    from memozy import tracking
    from memozy.reward import RewardModel

    card = json.loads((reward / "card.json").read_text(encoding="utf-8"))
    model_card.check(card, reward / "card.json")
    model = RewardModel.load(reward)
    if model.model_hash != card["model_hash"]:
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
    made: dict[str, str] = {}
    skipped: dict[str, str] = {}
    name = f"{config.reward_name}-candidate"
    if refusal := gate.reward_refusal(card):
        skipped[name] = refusal
    else:
        shown = len(model.judge.examples) if model.judge else 0
        page = model_card.render(card, data, reward_model.elsewhere(model), shown, name)
        about = {**tags, **gate.reward_tags(card)}
        made[name] = _register_reward(client, run_id, name, reward, model, page, about, gate.describe_reward(card, data))
    name = f"{config.policy_name}-candidate"
    made[name] = _register_policy(client, run_id, name, policy, tags, gate.describe_policy(card, data))
    name = f"{config.prompt_name}-candidate"
    if refusal := gate.prompt_refusal(decided):
        skipped[name] = refusal
    else:
        made[name] = _register_prompt(client, name, template, tags, gate.describe_prompt(decided, data))
    result = {**made, "skipped": skipped, "tracking_uri": without_secrets(os.environ["MLFLOW_TRACKING_URI"])}
    registered.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    return Result(metrics={"registered": len(made), "skipped": len(skipped)})


def _register_reward(client, run_id: str, name: str, folder: Path, model, page: str, tags: dict[str, str],
                     description: str) -> str:  # fmt: skip
    """A version that MLflow can load and score with; made only when what was logged scores as the folder does."""
    wanted = {**tags, "folder": digest(folder)}
    if found := versions.existing(client, f"name = '{name}'", wanted):
        return found
    model_id, files = reward_model.log(client, run_id, name, folder, model, page)
    return versions.create(client, name, f"models:/{model_id}", run_id, {**wanted, "manifest": _line(files)}, description,
                           model_id)  # fmt: skip


def _register_policy(client, run_id: str, name: str, folder: Path, tags: dict[str, str], description: str) -> str:
    """A version that holds the folder's files."""
    wanted = {**tags, "manifest": _line(versions.manifest(folder))}
    if found := versions.existing(client, f"name = '{name}'", wanted):
        return found
    place = f"candidates/{name}"
    client.log_artifacts(run_id, str(folder), place)
    source = f"{client.get_run(run_id).info.artifact_uri}/{place}"
    return versions.create(client, name, source, run_id, wanted, description)


def _register_prompt(client, name: str, template: str, tags: dict[str, str], description: str) -> str:
    wanted = {**tags, "sha256": hashlib.sha256(template.encode()).hexdigest()}
    if found := versions.existing(client, f"name = '{name}' AND tags.`mlflow.prompt.is_prompt` = 'true'", wanted):
        return found
    return str(client.register_prompt(name, template, commit_message=description, tags=wanted).version)


def _line(manifest: dict[str, str]) -> str:
    return json.dumps(manifest, separators=(",", ":"))

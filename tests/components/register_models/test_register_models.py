"""register_models on a real SQLite store: what is registered comes back byte for byte; what fails its gate stays out."""

import json

import numpy as np
import polars as pl
import pytest

from components.register_models import gate, stage
from components.register_models.config import Config
from components.train_reward.candidates import fit
from memozy import records, tracking
from memozy.records import InputError

TEST = {"mse": 0.2, "mae": 0.3, "r2": 0.3, "spearman": 0.5, "constant_mse": 0.3, "constant_mae": 0.4, "n": 12}
DECISION = {
    "decision": "adopt", "prompt_id": "b", "incumbent": "a", "confidence": 0.95, "epsilon": 0.1,
    "sentence": "Adopt b.", "ratings_used": 80, "ratings_needed": None, "simulated": True, "cost_usd": 0.0,
}  # fmt: skip
VERSION = {"version": "0" * 32 + ".dir", "n_ratings": 9, "n_diaries": 8, "classes": {}, "simulated": True}
TEMPLATE = "{place}에서 {people}와 {mood}. {photo} <b>일기</b>"


@pytest.fixture
def inputs(tmp_path, mlflow_store):
    """The stage's inputs, a real reward model among them."""
    paths = {name: tmp_path / name for name in ("reward", "policy", "arms", "decision", "version")}
    texts = [f"오늘은 {place}에 갔다. 바람이 {n}번 불어서 좋았다." for n in range(4) for place in ("바다", "산", "강")]
    model = fit(texts, np.linspace(-1, 1, len(texts)), np.ones(len(texts)), ("ridge",), seed=0)
    card = {"model_hash": model.save(paths["reward"]), "champion": "ridge", "metrics": {"test": TEST}}
    (paths["reward"] / "card.json").write_text(json.dumps(card))
    paths["policy"].mkdir()
    (paths["policy"] / "model.safetensors").write_bytes(bytes(range(256)))
    (paths["policy"] / "config.json").write_text("{}")
    arms = pl.DataFrame({"prompt_id": ["a", "b"], "template": ["{place}{people}{mood}{photo}", TEMPLATE],
                         "parent_prompt_id": [None, "a"], "origin": ["incumbent", "ppo"]})  # fmt: skip
    records.write(arms, paths["arms"], records.ARMS)
    paths["decision"].write_text(json.dumps(DECISION))
    paths["version"].write_text(json.dumps(VERSION))
    return paths


def register(inputs, tmp_path, kind: str) -> dict:
    """What the stage wrote; every test registers under names of its own."""
    config = Config(reward_name=f"{kind}-reward", policy_name=f"{kind}-policy", prompt_name=f"{kind}-prompt")
    stage.run(config, **inputs, registered=tmp_path / "registered")
    return json.loads((tmp_path / "registered").read_text(encoding="utf-8"))


def test_candidates_come_back_as_they_were(inputs, tmp_path, mlflow_store):
    from mlflow.artifacts import download_artifacts
    from mlflow.tracking import MlflowClient

    said = register(inputs, tmp_path, "whole")
    assert said == {
        "whole-reward-candidate": "1", "whole-policy-candidate": "1", "whole-prompt-candidate": "1",
        "skipped": {}, "tracking_uri": mlflow_store,
    }  # fmt: skip
    client = MlflowClient()
    for name, folder in (("whole-reward-candidate", inputs["reward"]), ("whole-policy-candidate", inputs["policy"])):
        back = tmp_path / "back" / name
        back.mkdir(parents=True)
        source = client.get_model_version_download_uri(name, "1")
        download_artifacts(artifact_uri=source, dst_path=str(back))
        files = {p.name: p.read_bytes() for p in back.rglob("*") if p.is_file()}
        assert files == {p.name: p.read_bytes() for p in folder.iterdir()}
        version = client.get_model_version(name, "1")
        assert json.loads(version.tags["manifest"]) == stage.manifest(folder)
        assert version.tags["data_version"] == VERSION["version"] and version.tags["simulated"] == "true"
    prompt = client.get_prompt_version("whole-prompt-candidate", "1")
    assert prompt.template == TEMPLATE
    assert "80 simulated ratings" in prompt.commit_message


def test_the_same_run_registers_once(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", tracking.start_run("again", {}, {}))
    assert register(inputs, tmp_path, "once") == register(inputs, tmp_path, "once")


def test_what_fails_its_gate_stays_out(inputs, tmp_path):
    from mlflow.tracking import MlflowClient

    card = json.loads((inputs["reward"] / "card.json").read_text())
    card["metrics"]["test"] = {**TEST, "mse": 0.3}  # as good as the constant is not good enough
    (inputs["reward"] / "card.json").write_text(json.dumps(card))
    inputs["decision"].write_text(json.dumps({**DECISION, "decision": "undecided"}))
    said = register(inputs, tmp_path, "gate")
    assert set(said["skipped"]) == {"gate-reward-candidate", "gate-prompt-candidate"}
    assert "constant" in said["skipped"]["gate-reward-candidate"]
    assert "undecided" in said["skipped"]["gate-prompt-candidate"]
    registered = [m.name for m in MlflowClient().search_registered_models("name LIKE 'gate-%'")]
    assert registered == ["gate-policy-candidate"]


def test_another_model_than_its_card_says_is_refused(inputs, tmp_path):
    card = json.loads((inputs["reward"] / "card.json").read_text())
    (inputs["reward"] / "card.json").write_text(json.dumps({**card, "model_hash": "0" * 64}))
    with pytest.raises(InputError, match="is not the model that its card describes"):
        register(inputs, tmp_path, "other")
    assert not (tmp_path / "registered").exists()


def test_no_store_is_said_with_its_remedy(inputs, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI.*sqlite"):
        register(inputs, tmp_path, "none")


def test_gates():
    assert gate.reward_refusal({"metrics": {"test": {**TEST, "mse": 0.299}}}) is None
    assert gate.prompt_refusal({"decision": "adopt"}) is None
    assert gate.prompt_refusal({"decision": "keep"}) == "the decision is 'keep', not 'adopt'"

"""register_models on a real SQLite store: what is registered comes back byte for byte; what fails its gate stays out."""

import json
from pathlib import Path

import pytest

from components.register_models import gate
from components.register_models.versions import manifest
from memozy import tracking
from memozy.records import InputError

TEST = {"mse": 0.2, "constant_mse": 0.3, "n": 12}


@pytest.fixture
def change_card(inputs):
    """Writes a changed card: change_card(champion=None) takes the champion out."""

    def change(**values) -> None:
        file = inputs["reward"] / "card.json"
        card = json.loads(file.read_text(encoding="utf-8")) | values
        file.write_text(json.dumps({k: v for k, v in card.items() if v is not None}), encoding="utf-8")

    return change


def test_candidates_come_back_as_they_were(inputs, register, tmp_path, mlflow_store):
    from mlflow.artifacts import download_artifacts
    from mlflow.tracking import MlflowClient

    assert register("whole") == {
        "whole-reward-candidate": "1", "whole-policy-candidate": "1", "whole-prompt-candidate": "1",
        "skipped": {}, "tracking_uri": mlflow_store,
    }  # fmt: skip
    client = MlflowClient()
    for name, folder, place in (
        ("whole-reward-candidate", inputs["reward"], "data/reward/"), ("whole-policy-candidate", inputs["policy"], ""),
    ):  # fmt: skip
        back = tmp_path / "back" / name
        back.mkdir(parents=True)
        download_artifacts(artifact_uri=f"models:/{name}/1", dst_path=str(back))
        held = {place + path: sha for path, sha in manifest(folder).items() if path != "predictions.parquet"}
        version = client.get_model_version(name, "1")
        tagged = json.loads(version.tags["manifest"])
        assert held.items() <= tagged.items() <= manifest(back).items()
        assert {path for path in manifest(back) if path.startswith("data/")} == {p for p in held if p.startswith("data/")}
        assert version.tags["data_version"] == "0" * 32 + ".dir" and version.tags["simulated"] == "true"
    assert set(tagged) == {"model.safetensors", "config.json"}
    prompt = client.get_prompt_version("whole-prompt-candidate", "1")
    assert prompt.template == "{place}에서 {people}와 {mood}. {photo} <b>일기</b>"
    assert "80 simulated ratings" in prompt.commit_message


def test_a_reward_model_can_be_found_by_what_it_is(inputs, register, mlflow_store):
    from mlflow.tracking import MlflowClient

    register("found")
    card = json.loads((inputs["reward"] / "card.json").read_text(encoding="utf-8"))
    tags = {"champion": "ngrams", "test_mse": "0.2000", "test_spearman": "0.5000", "reward_hash": card["model_hash"]}
    found = MlflowClient().search_model_versions(" AND ".join(
        ["name = 'found-reward-candidate'", *(f"tags.{name} = '{value}'" for name, value in tags.items())]))  # fmt: skip
    assert [v.version for v in found] in (["1"], [1])
    assert "MSE is 0.200, a constant's 0.300; Spearman 0.50." in found[0].description


def test_the_same_run_registers_once(inputs, register, change_card, mlflow_store, monkeypatch):
    from mlflow.artifacts import download_artifacts
    from mlflow.tracking import MlflowClient

    run_id = tracking.start_run("again", {}, {})
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert register("once") == register("once")
    client = MlflowClient()
    assert len(client.get_run(run_id).outputs.model_outputs) == 1
    change_card(champion="trees")  # another card is another candidate, and leaves the first one's files alone
    before = json.loads(client.get_model_version("once-reward-candidate", "1").tags["manifest"])
    assert register("once")["once-reward-candidate"] == "2"
    assert before.items() <= manifest(Path(download_artifacts("models:/once-reward-candidate/1"))).items()


def test_what_fails_its_gate_stays_out(inputs, register, change_card, mlflow_store):
    from mlflow.tracking import MlflowClient

    change_card(metrics={"test": {**TEST, "mse": 0.3}})  # as good as the constant is not good enough
    decision = json.loads(inputs["decision"].read_text())
    inputs["decision"].write_text(json.dumps({**decision, "decision": "undecided"}))
    said = register("gate")
    assert set(said["skipped"]) == {"gate-reward-candidate", "gate-prompt-candidate"}
    assert "constant" in said["skipped"]["gate-reward-candidate"]
    assert "undecided" in said["skipped"]["gate-prompt-candidate"]
    registered = [m.name for m in MlflowClient().search_registered_models("name LIKE 'gate-%'")]
    assert registered == ["gate-policy-candidate"]


@pytest.mark.parametrize(("missing", "field"), [
    ({"model_hash": None}, "model_hash"), ({"champion": None}, "champion"), ({"metrics": {}}, "metrics.test.mse"),
    ({"metrics": {"test": {"mse": 0.2, "n": 12}}}, "metrics.test.constant_mse"),
])  # fmt: skip
def test_a_card_without_the_essentials_is_refused(register, change_card, mlflow_store, tmp_path, missing, field):
    change_card(**missing)
    with pytest.raises(InputError, match=f"card.json, field '{field}': is missing"):
        register("bare")
    assert not (tmp_path / "registered").exists()


def test_another_model_than_its_card_says_is_refused(register, change_card, mlflow_store, tmp_path):
    change_card(model_hash="0" * 64)
    with pytest.raises(InputError, match="is not the model that its card describes"):
        register("other")
    assert not (tmp_path / "registered").exists()


def test_no_store_is_said_with_its_remedy(register, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI.*sqlite"):
        register("none")


def test_gates():
    assert gate.reward_refusal({"metrics": {"test": {**TEST, "mse": 0.299}}}) is None
    assert gate.prompt_refusal({"decision": "adopt"}) is None
    assert gate.prompt_refusal({"decision": "keep"}) == "the decision is 'keep', not 'adopt'"

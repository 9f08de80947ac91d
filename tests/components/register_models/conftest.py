"""What a run hands to register_models: a small, real reward model with its card, a policy, arms, a decision, a data version."""

import json
from copy import deepcopy
from dataclasses import replace

import polars as pl
import pytest

from memozy import records
from memozy.reward import RewardModel
from tests.rated import fitted, rated_rows

ROWS = rated_rows(20, 2, seed=0)
TEST = {"mse": 0.2, "mae": 0.3, "r2": 0.3, "spearman": 0.5, "constant_mse": 0.3, "constant_mae": 0.4, "n": 12}
DECISION = {
    "decision": "adopt", "prompt_id": "b", "incumbent": "a", "confidence": 0.95, "epsilon": 0.1,
    "sentence": "Adopt b.", "ratings_used": 80, "ratings_needed": None, "simulated": True, "cost_usd": 0.0,
}  # fmt: skip
VERSION = {"version": "0" * 32 + ".dir", "n_ratings": 9, "n_diaries": 8, "classes": {}, "simulated": True}
TEMPLATE = "{place}에서 {people}와 {mood}. {photo} <b>일기</b>"


def write_reward(folder, model: RewardModel) -> None:
    """What train_reward leaves: the model, a card, and predictions, two of them on the test split."""
    card = {"model_hash": model.save(folder), "champion": "ngrams", "metrics": {"test": TEST}}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    rows = {"diary_id": ["d0", "d1", "d2"], "split": ["train", "test", "test"], "text": ROWS.features.texts[:3]}
    pl.DataFrame(rows).write_parquet(folder / "predictions.parquet")


@pytest.fixture(scope="session")
def _ridge(tmp_path_factory) -> RewardModel:
    return fitted("ngrams", ROWS, tmp_path_factory.mktemp("work"))


@pytest.fixture
def model(_ridge) -> RewardModel:
    """A ridge on characters and statistics of 40 diaries, the test's own."""
    return replace(_ridge, members=deepcopy(_ridge.members))


@pytest.fixture
def inputs(tmp_path, model):
    """The stage's inputs by name."""
    paths = {name: tmp_path / name for name in ("reward", "policy", "arms", "decision", "version")}
    write_reward(paths["reward"], model)
    paths["policy"].mkdir()
    (paths["policy"] / "model.safetensors").write_bytes(bytes(range(256)))
    (paths["policy"] / "config.json").write_text("{}")
    arms = pl.DataFrame({"prompt_id": ["a", "b"], "template": ["{place}{people}{mood}{photo}", TEMPLATE],
                         "parent_prompt_id": [None, "a"], "origin": ["incumbent", "ppo"]})  # fmt: skip
    records.write(arms, paths["arms"], records.ARMS)
    paths["decision"].write_text(json.dumps(DECISION))
    paths["version"].write_text(json.dumps(VERSION))
    return paths


@pytest.fixture
def register(inputs, tmp_path):
    """Runs the stage on `inputs`; every test registers under names of its own. kind -> what it wrote."""
    from components.register_models import stage
    from components.register_models.config import Config

    def run(kind: str) -> dict:
        config = Config(reward_name=f"{kind}-reward", policy_name=f"{kind}-policy", prompt_name=f"{kind}-prompt")
        stage.run(config, **inputs, registered=tmp_path / "registered")
        return json.loads((tmp_path / "registered").read_text(encoding="utf-8"))

    return run

"""Language models among the candidates: the stage with ratings and ranked lists, whole and killed on the way."""

import json
import random

import numpy as np
import polars as pl
import pytest

from components.train_reward.config import Config
from components.train_reward.stage import run
from memozy import records
from memozy.reward import RewardModel
from memozy.stages import Progress
from tests.fakes import tiny_lm

CANDIDATES = ("constant", "stacked", "lora", "lora_pairwise")
LIKED, DISLIKED = "바다 노을 빛".split(), "산 비 밤".split()
OTHERS = "길 강 집 밥 책 꽃 친구 가족 동생".split()


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Rows, ranked lists and a base: 21 photos of three texts, whose words tell the rating; three are held out."""
    folder, rng = tmp_path_factory.mktemp("given"), random.Random(0)
    ratings = [rng.choice((-1.0, 1.0)) for _ in range(63)]
    texts = [" ".join(rng.choices(LIKED if r > 0 else DISLIKED, k=5) + rng.choices(OTHERS, k=3)) for r in ratings]
    groups = [f"g{n // 3}" for n in range(63)]
    rows = pl.DataFrame({
        "diary_id": [f"d{n}" for n in range(63)], "group_id": groups, "context_id": groups, "text": texts,
        "rating": ratings, "n_raters": [1] * 63, "split": ["train"] * 54 + ["test"] * 9, "copies": [1] * 63,
    })  # fmt: skip
    records.write(rows, folder / "oversampled.parquet", records.OVERSAMPLED)
    lists = [{"context_id": "g0", "ranked": ["빛 노을", "빛 산", "비"]},
             {"context_id": "g19", "ranked": ["바다", "바다 밤", "밤"]},  # of a photo that is held out
             {"chosen": "노을", "rejected": "산"}]  # fmt: skip
    (folder / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lists), encoding="utf-8")
    tiny_lm().save(folder / "base")
    return folder


def train(given, folder, candidates=CANDIDATES) -> None:
    (folder / "work").mkdir(parents=True, exist_ok=True)
    lora = {"base": str(given / "base"), "learning_rate": 1e-2, "epochs": 4, "batch_size": 4, "max_length": 32}
    config = Config(candidates=candidates, folds=2, repeats=1, bootstrap=100, pairs=str(given / "pairs.jsonl"), lora=lora)
    run(config, oversampled=given / "oversampled.parquet", reward=folder / "reward", gold=folder / "gold",
        reward_report=folder / "report.html", work=folder / "work")  # fmt: skip


@pytest.fixture(scope="module")
def trained(given, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train(given, folder)
    return folder


def test_the_champion_holds_language_models_and_says_the_same_from_disk(trained):
    card = json.loads((trained / "reward" / "card.json").read_text(encoding="utf-8"))
    assert {row["name"] for row in card["candidates"]} == {*CANDIDATES, "selected"}
    assert card["champion"] != "constant" and card["metrics"]["train_cv"]["r2"] > 0.3
    assert card["pairs"] == {"used": 4, "dropped": 3}, "a list of three is three pairs"
    assert "lora_pairwise" in (trained / "report.html").read_text(encoding="utf-8")
    assert {p.name for p in (trained / "reward" / "members").iterdir()} == card["weights"].keys()
    model = RewardModel.load(trained / "reward")
    assert model.model_hash == card["model_hash"]
    said = pl.read_parquet(trained / "reward" / "predictions.parquet").filter(split="test")
    assert model.score(said["text"].to_list())[0].tolist() == said["predicted"].to_list()
    assert np.ptp(said["predicted"].to_numpy()) > 0.5


def test_pairs_go_into_the_stage_without_a_language_model_too(given, tmp_path):
    train(given, tmp_path, candidates=("constant", "pairwise"))
    card = json.loads((tmp_path / "reward" / "card.json").read_text(encoding="utf-8"))
    assert card["champion"] == "pairwise" and card["pairs"] == {"used": 4, "dropped": 3}


def test_killed_within_a_fit_it_gives_the_same_bytes(given, trained, tmp_path, monkeypatch):
    advance, steps = Progress.advance, iter(range(250))  # of some 350 until the folds are done

    def killing(self, n: int = 1, **numbers: float) -> None:
        if "loss" in numbers and next(steps, None) is None:
            raise Killed
        advance(self, n, **numbers)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Progress, "advance", killing)
        train(given, tmp_path)
    assert len(list((tmp_path / "work").glob("fold-*.npz"))) == 1 and not (tmp_path / "reward").exists()
    train(given, tmp_path)
    files = [p.relative_to(trained) for p in trained.glob("reward/**/*") if p.is_file()] + ["report.html"]
    assert len(files) > 10
    for file in files:
        assert (tmp_path / file).read_bytes() == (trained / file).read_bytes(), file

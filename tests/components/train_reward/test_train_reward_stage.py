"""The stage on a small simulated data set: what it writes, and what it refuses."""

import hashlib
import json
import random

import numpy as np
import polars as pl
import pytest

from components.train_reward.config import Config
from components.train_reward.stage import run
from memozy import records
from memozy.records import InputError
from memozy.reward import RewardModel
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions
from microworld.raters import PANEL
from microworld.writer import write_diary


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng = random.Random(5)
    rows = []
    for g, context in enumerate(sample_contexts(50, seed=5)):
        for i in range(4):
            text = write_diary(sample_instructions(rng, 0.5, 0.25), context, rng)
            rating = rng.choice(PANEL).rate(text, context, str(i))
            split = "test" if g % 5 == 0 else "train"
            copies = 2 if split == "train" and rating == -1 else 1
            rows.append((f"d{len(rows):04d}", context["context_id"], text, rating, 1, split, copies))
    return pl.DataFrame(rows, schema=records.OVERSAMPLED.dtypes, orient="row")


def train(frame: pl.DataFrame, folder, **settings):
    records.write(frame, folder / "oversampled.parquet", records.OVERSAMPLED)
    return run(Config(**settings), oversampled=folder / "oversampled.parquet", reward=folder / "reward")


def test_it_writes_a_model_a_card_and_predictions_that_agree(frame, tmp_path):
    result = train(frame, tmp_path)
    folder = tmp_path / "reward"
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "model.skops", "predictions.parquet"]
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    model = RewardModel.load(folder)
    assert card["model_hash"] == model.model_hash == hashlib.sha256((folder / "model.skops").read_bytes()).hexdigest()
    assert [c["name"] for c in card["candidates"]] == ["constant", "ridge", "kernel", "trees", "ensemble"]
    assert card["champion"] in {"ridge", "kernel", "trees", "ensemble"}

    said = pl.read_parquet(folder / "predictions.parquet")
    assert said.columns == ["diary_id", "split", "rating", "predicted"]
    expected = {r["diary_id"]: (r["split"], r["rating"]) for r in frame.to_dicts()}
    assert {r["diary_id"]: (r["split"], r["rating"]) for r in said.to_dicts()} == expected
    test = said.filter(split="test").join(frame.select("diary_id", "text"), on="diary_id", maintain_order="left")
    assert np.array_equal(model.score(test["text"].to_list())[0], test["predicted"].to_numpy())

    for part, metrics in (("train", card["metrics"]["train_cv"]), ("test", card["metrics"]["test"])):
        rows = said.filter(split=part)
        error = rows["predicted"] - rows["rating"]
        assert metrics["mse"] == pytest.approx((error**2).mean())
        assert metrics["mae"] == pytest.approx(error.abs().mean())
        ranks = rows.select(pl.corr("predicted", "rating", method="spearman")).item()
        assert metrics["spearman"] == pytest.approx(ranks)
        assert metrics["n"] == len(rows)
        assert metrics["r2"] == pytest.approx(1 - metrics["mse"] / metrics["constant_mse"])
        assert metrics["r2"] > 0.15
    away = frame.filter(split="test")["rating"] - frame.filter(split="train")["rating"].mean()
    assert card["metrics"]["test"]["constant_mse"] == pytest.approx((away**2).mean())

    assert result.metrics["test_mse"] == card["metrics"]["test"]["mse"]
    assert result.metrics["cv_spearman"] == card["metrics"]["train_cv"]["spearman"]
    assert (result.metrics["n_train"], result.metrics["n_test"]) == (160, 40)
    assert all(np.isfinite(v) for v in result.metrics.values())


def test_the_test_rows_have_no_say_in_the_model(frame, tmp_path):
    flipped = frame.with_columns(rating=pl.when(split="test").then(-pl.col("rating")).otherwise("rating"))
    texts = frame["text"].to_list()
    scores = []
    for name, data in (("one", frame), ("two", flipped)):
        (tmp_path / name).mkdir()
        train(data, tmp_path / name, folds=3, repeats=1)
        scores.append(RewardModel.load(tmp_path / name / "reward").score(texts)[0])
    assert np.array_equal(*scores)


def test_it_refuses_too_few_groups_and_no_test_rows(frame, tmp_path):
    few = frame.filter(pl.col("group_id").is_in(frame["group_id"].unique().sort()[:4].implode()))
    with pytest.raises(InputError, match=r"oversampled\.parquet.*groups to train on.*5 folds"):
        train(few, tmp_path)
    with pytest.raises(InputError, match="no test rows"):
        train(frame.filter(split="train"), tmp_path)

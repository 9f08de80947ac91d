"""The stage with an LLM judge that knows the ratings: it wins, its model scores, and no answer is paid for twice."""

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest

from components.train_reward.config import Config
from components.train_reward.stage import run
from memozy import records
from memozy.records import InputError, nearest_level
from memozy.reward import RewardModel
from tests.endpoint import PAID, grading, judged, serving
from tests.rated import rated_rows

CONFIG = Config(candidates=("constant", "judge"), folds=3, repeats=1, bootstrap=200, llm=PAID, examples_per_level=1)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """20 photos of two diaries; every fourth photo is held out."""
    rows = rated_rows(20, 2, seed=5)
    n, test = len(rows.groups), np.arange(len(rows.groups)) // 2 % 4 == 0
    return pl.DataFrame({
        "diary_id": [f"d{i:02d}" for i in range(n)], "group_id": rows.groups, "context_id": rows.groups,
        "prompt_id": ["a"] * n, "text": rows.features.texts, "rating": rows.ratings, "rating_variance": [None] * n,
        "simulated": [True] * n, "n_raters": [1] * n, "split": np.where(test, "test", "train"), "copies": [1] * n,
    }, schema_overrides=records.OVERSAMPLED.dtypes)  # fmt: skip


def test_a_judge_is_trained_with_killed_gone_on_with_and_loaded(frame, tmp_path, own_ledger):
    records.write(frame, tmp_path / "oversampled.parquet", records.OVERSAMPLED)
    paths = {"oversampled": tmp_path / "oversampled.parquet", "reward": tmp_path / "reward", "gold": tmp_path / "gold",
             "reward_report": tmp_path / "report.html", "work": tmp_path / "work"}  # fmt: skip
    paths["work"].mkdir()
    level = {text: nearest_level(rating) for text, rating in frame.select("text", "rating").iter_rows()}
    train, test = (frame.filter(split=split)["text"].to_list() for split in ("train", "test"))
    unreadable = train[3]

    with serving(grading(lambda text: 7 if text == unreadable else level.get(text, -1))) as endpoint:

        def paid():
            return Counter(judged(prompt) for prompt in endpoint.paid.elements())

        endpoint.fault = lambda prompt, before: 402 if len(endpoint.paid) == 12 else None
        with pytest.raises(InputError, match="the endpoint failed.*status 402"):
            run(CONFIG, **paths)
        assert sum(endpoint.paid.values()) == 12
        endpoint.fault = lambda prompt, before: None
        run(CONFIG, **paths)
        assert {text: n for text, n in paid().items() if text in train} == dict.fromkeys(train, 1) | {unreadable: 2}
        assert all(n == 1 for text, n in paid().items() if text not in train)

        card = json.loads((paths["reward"] / "card.json").read_text(encoding="utf-8"))
        assert card["champion"] == "judge" and card["metrics"]["train_cv"]["r2"] > 0.6
        examples = 5 - card["judge"]["shortfall"].count("level")
        assert card["judge"] == card["judge"] | {"model": "m", "examples": examples, "ungraded": 1}
        assert "never of the row's own group" in card["judge"]["sight"]
        assert 0 < card["judge"]["cost_usd"] == card["cost_usd"] < endpoint.usd
        assert own_ledger.total().spent_usd == pytest.approx(endpoint.usd, abs=1e-9)

        model = RewardModel.load(paths["reward"])
        assert len(model.judge.examples) == examples
        before = paid()
        said = model.predict(test)
        opened = [text for text, shut in zip(test, said.shut, strict=True) if not shut]
        assert paid() == before  # their grades were asked for when it was tested
        assert len(opened) > 5 and np.corrcoef(said.score, [level[t] for t in test])[0, 1] > 0.8
    page = paths["reward_report"].read_text(encoding="utf-8")
    assert f"m, shown {examples} rated diaries" in page and "sk-never" not in page + json.dumps(card)

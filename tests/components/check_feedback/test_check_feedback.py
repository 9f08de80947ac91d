import polars as pl
import pytest

from components.check_feedback.enough import enough, new_ratings
from memozy import records, stages
from memozy.records import InputError


def test_only_well_formed_and_unknown_ratings_count():
    rows = [
        {"diary_id": "d1", "rater_id": "a", "rating": "0.5"},
        {"diary_id": "d1", "rater_id": "b", "rating": "0.5"},
        {"diary_id": "d1", "rater_id": "b", "rating": "0.5"},
        {"diary_id": "d2", "rater_id": "a", "rating": "0.7"},
        {"diary_id": "d3", "rater_id": "a", "rating": "nan"},
        {"diary_id": "d4", "rater_id": "a", "rating": None},
        {"diary_id": None, "rater_id": "a", "rating": "1"},
        {"rater_id": "a", "rating": "1"},
        {"diary_id": 5, "rater_id": "a", "rating": -1},
    ]
    assert new_ratings(rows, {("d1", "a")}) == {("d1", "b"): 0.5, ("5", "a"): -1.0}


@pytest.mark.parametrize(
    ("levels", "min_new", "min_per_class", "answer", "reason"),
    [
        ([0.5] * 49, 50, 0, False, "49 new ratings, 50 are needed"),
        ([0.5] * 50, 50, 0, True, "50 new ratings, 50 were needed"),
        ([-1.0, -0.5, 0.0, 0.5, 1.0], 5, 1, True, "5 new ratings, 5 were needed"),
        ([-1.0, -0.5, 0.0, 0.5, 0.5], 5, 1, False, "0 new ratings of 1, 1 of each level are needed"),
        ([], 1, 0, False, "0 new ratings, 1 are needed"),
    ],
)
def test_enough_and_why(levels, min_new, min_per_class, answer, reason):
    assert enough(levels, min_new, min_per_class) == (answer, reason)


@pytest.fixture
def feedback(tmp_path):
    path = tmp_path / "feedback.csv"
    lines = [f"d{i},a,0.5" for i in range(60)]
    path.write_text("\n".join(["diary_id,rater_id,rating", *lines]), encoding="utf-8")
    return str(path)


def test_the_gate_opens_on_new_ratings_alone(feedback, tmp_path):
    first = stages.execute("check_feedback", {"ratings": feedback}, {}, {})
    assert first.metrics == {"n_new": 60, "n_known": 0, "enough": 1}
    known = pl.DataFrame(
        [{"diary_id": f"d{i}", "rater_id": "a", "rating": 0.5, "source": "f", "rated_at": "x"} for i in range(11)]
    )
    records.write(known, tmp_path / "validated" / "ratings.parquet", records.RATINGS)
    for where in ("validated", "validated/ratings.parquet"):
        config = {"ratings": feedback, "known": str(tmp_path / where)}
        second = stages.execute("check_feedback", config, {}, {})
        assert second.metrics == {"n_new": 49, "n_known": 11, "enough": 0}
        assert stages.execute("check_feedback", {**config, "min_new": 49}, {}, {}).metrics["enough"] == 1


def test_a_missing_file_is_an_error_not_a_closed_gate(feedback, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        stages.execute("check_feedback", {"ratings": str(tmp_path / "nowhere.csv")}, {}, {})
    with pytest.raises(InputError, match=r"gone: no such file"):
        stages.execute("check_feedback", {"ratings": feedback, "known": str(tmp_path / "gone")}, {}, {})

import polars as pl
import pytest

from components.write_report.view import Evidence, arm_rows, build, examples, level_counts, stored, updates
from memozy.records import InputError


@pytest.fixture
def evidence(artifacts):
    return lambda **changes: Evidence(**(artifacts | changes))


def test_levels_are_counted_before_and_after_oversampling_and_for_the_test_diaries():
    rows = [
        (-1.0, "train", 4),
        (-1.0, "train", 4),
        (1.0, "train", 1),
        (0.25, "train", 1),
        (-0.25, "test", 1),
        (1.0, "test", 1),
    ]
    counts = level_counts(pl.DataFrame(rows, schema=["rating", "split", "copies"], orient="row"))
    assert counts == {"before": [2, 0, 1, 0, 1], "after": [8, 0, 1, 0, 1], "test": [0, 1, 0, 0, 1]}


PULLS = pl.DataFrame(
    [
        ("a", "c1", 0.9, None, None), ("a", "c2", 0.1, None, None), ("a", "c3", 0.3, None, None), ("a", "c4", 0.2, None, None),
        ("a", "c5", 0.5, None, None), ("b", "c1", 0.2, None, None), ("b", "c2", 0.7, None, None), ("b", "c3", -0.4, None, None),
        ("b", "c4", None, None, None), ("a", "c2", None, "mina", 1.0), ("a", "c3", None, "mina", 1.0),
        ("a", "c4", None, "mina", -1.0), ("a", "c5", None, "mina", 1.0), ("a", "c5", None, "june", -1.0),
    ],
    schema={"prompt_id": pl.String, "context_id": pl.String, "score": pl.Float64, "rater_id": pl.String,
            "human_rating": pl.Float64},
    orient="row",
)  # fmt: skip


def contexts(rows):
    return [row["context_id"] for row in rows]


def test_best_and_worst_go_by_rating_then_score():
    found = examples(PULLS, {"prompt_id": "a"}, 2)
    assert found["by_rating"] and found["n"] == 4  # c1 is unrated, however high its score
    assert contexts(found["best"]) == ["c3", "c2"]  # both rated 1; c3 scores higher
    assert contexts(found["worst"]) == ["c4", "c5"] and found["worst"][1]["rating"] == 0  # the mean of two raters


def test_without_ratings_they_go_by_score_and_none_stands_on_both_sides():
    found = examples(PULLS, {"prompt_id": "b"}, 2)
    assert not found["by_rating"]
    assert contexts(found["best"]) == ["c2", "c1"] and contexts(found["worst"]) == ["c4", "c3"]  # c4 has no score
    assert examples(PULLS, {"prompt_id": "never pulled"}, 2)["n"] == 0


def test_updates_are_spread_from_the_first_to_the_last():
    samples = [{"step": step, "response": f"p{step}"} for step in range(11)]
    assert [u["step"] for u in updates(samples, 3)] == [0, 5, 10]
    assert [u["step"] for u in updates(samples[:2], 3)] == [0, 1]
    assert updates([], 3) == []


def test_an_arm_the_decision_does_not_estimate_keeps_its_row_without_numbers(evidence, artifacts):
    decision = artifacts["decision"] | {"arms": artifacts["decision"]["arms"][2:]}
    first, *_, last = arm_rows(evidence(decision=decision, truth={}))
    assert (first["letter"], first["incumbent"], first["estimate"], first["true_mean"]) == ("A", True, None, None)
    assert (last["letter"], last["chosen"], last["estimate"]) == ("D", True, 0.68)
    assert last["cost_usd"] == pytest.approx(120 * 0.00021)


def test_tiles_hold_each_number_against_another(evidence):
    tiles = {tile["name"]: tile for tile in build(evidence(), 2, 6)["tiles"]}
    assert tiles["Highest estimate: D"]["value"] == "0.68"
    assert tiles["Highest estimate: D"]["detail"] == "[0.59, 0.77]; incumbent 0.29 [0.17, 0.41]"
    assert tiles["Reward model, test MSE"]["detail"] == "a constant guess has 0.297: 29 % less"  # 1 - 0.211 / 0.297
    assert tiles["Ratings used"]["value"] == "192" and tiles["Ratings used"]["detail"] == "enough to decide"


def test_a_decision_for_an_unknown_prompt_is_refused(evidence, artifacts):
    with pytest.raises(InputError, match="'nobody'.*is not among the arms.*prompt-a"):
        build(evidence(decision=artifacts["decision"] | {"prompt_id": "nobody"}), 2, 6)


def test_where_things_are_stored_leaves_the_password_out(evidence):
    rows = stored(evidence())
    assert ("Tracking server", "postgresql://db.example:5432/mlflow", "registered: tracking_uri") in rows
    assert ("Candidate reward-model-candidate", "version 3", "registered") in rows
    assert ("Not registered: diary-prompt-candidate", "the decision keeps the incumbent", "registered: skipped") in rows
    assert not [row for row in rows if "hunter2" in row[1]]


def test_a_tile_does_not_praise_what_is_worse_than_a_constant_or_unknown(evidence, artifacts):
    artifacts["card"]["metrics"]["test"] |= {"mse": 0.33, "constant_mse": 0.3}
    artifacts["decision"]["arms"] = [arm | {"estimate": None} for arm in artifacts["decision"]["arms"]]
    tiles = {tile["name"]: tile for tile in build(evidence(curves=[]), 2, 6)["tiles"]}
    assert tiles["Reward model, test MSE"]["detail"] == "a constant guess has 0.300: 10 % more"
    assert (tiles["Highest estimate"]["value"], tiles["PPO score"]["value"]) == ("–", "–")


def test_the_cost_is_the_whole_runs_where_the_decision_knows_it(evidence, artifacts):
    tiles = {tile["name"]: tile for tile in build(evidence(), 2, 6)["tiles"]}
    assert tiles["Evaluation cost"]["value"] == "$0.1008"
    artifacts["decision"]["ledger"] = {"settled_usd": 2.5, "lost_usd": 0.25, "calls": 1234, "rows": []}
    tiles = {tile["name"]: tile for tile in build(evidence(), 2, 6)["tiles"]}
    assert "Evaluation cost" not in tiles and tiles["Cost of the run"]["value"] == "$2.75"
    assert tiles["Cost of the run"]["detail"] == "1,234 calls of all stages up to the decision; $0.2500 of it lost"


def test_while_undecided_the_leader_stands_in_front(evidence, artifacts):
    artifacts["decision"] |= {"decision": "undecided", "prompt_id": "prompt-a", "leader": "bon-81c2"}
    built = build(evidence(), 2, 6)
    assert (built["chosen"]["prompt_id"], built["incumbent"]["prompt_id"]) == ("bon-81c2", "prompt-a")

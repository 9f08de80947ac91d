"""The decision from nothing but pulls: what a run decides by, and what a reviewer decides again by."""

import copy
import json

import numpy as np
import polars as pl
import pytest

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.record import findings, record, sentence
from components.evaluate_prompts.replay import Settings, highest_mean, replay
from components.evaluate_prompts.verify import differences
from memozy.records import ARMS, PULLS, InputError, write

ARM_IDS = ("A", "b", "c")
TRUE = {"A": -0.4, "b": 0.6, "c": 0.1}
TABLE = pl.DataFrame(
    [{"prompt_id": a, "template": f"prompt {a}", "parent_prompt_id": None, "origin": "test"} for a in ARM_IDS],
    schema=ARMS.dtypes,
)


def settings(**changes) -> Settings:
    given = {"arms": ARM_IDS, "rule": "planned", "scorer": "reward", "confidence": 0.95, "epsilon": 0.1, "looks": 2}
    return Settings(**given | changes)


def row(round_, prompt, context, **known):
    return dict.fromkeys(PULLS.fields) | {"round": round_, "prompt_id": prompt, "context_id": context, "cost_usd": 0.001} | known


def made(rounds=2, contexts=40, raters=("kim", "lee"), seed=0) -> list[dict]:
    """Pulls of three arms on the same contexts, scores with an offset, ratings by two people; every 5th diary rated twice."""
    rng = np.random.default_rng(seed)
    rows = []
    for round_ in range(1, rounds + 1):
        for i in range((round_ - 1) * contexts, round_ * contexts):
            for arm in ARM_IDS:
                quality = TRUE[arm] + rng.normal(0, 0.3)
                score = float(np.clip(0.5 * quality + 0.2 + rng.normal(0, 0.1), -1, 1))
                rows.append(row(round_, arm, f"c{i}", text=f"diary {arm} {i}", score=score, scorer="m"))
                for j, name in enumerate(raters if i % 5 == 0 else raters[i % 2 :][:1]):
                    level = float(np.clip(np.round(2 * (quality + 0.2 * j)) / 2, -1, 1))
                    rows.append(row(round_, arm, f"c{i}", rater_id=name, human_rating=level, rating_source="sheet.csv", cost_usd=0.0))
    return rows


@pytest.fixture
def told() -> tuple[pl.DataFrame, dict]:
    rows = made()
    more = {"task": "diary", "sampler": "ucb1", "seed": 0, "cost_usd": 0.24, "ledger": {}, "hashes": {"arms": "x"}}
    return pl.DataFrame(rows, schema=PULLS.dtypes), json.loads(json.dumps(record(rows, settings(), TABLE, more)))


def test_the_better_prompt_is_adopted_by_its_ratings():
    standing = replay(made(), settings())
    assert len(standing.looks) == 2 and standing.raters == ["kim", "lee"]
    assert standing.decided.decision == "adopt" and ARM_IDS[standing.decided.arm] == "b"
    assert standing.looks[0].n_rated.tolist() == [40, 40, 40] and standing.looks[1].n_rated.tolist() == [80, 80, 80]
    assert standing.looks[1].n_ratings.tolist() == [96, 96, 96]


def test_the_record_says_what_the_pulls_say(told):
    _, said = told
    assert said["decision"] == "adopt" and said["prompt_id"] == "b" and said["confidence"] == 0.95
    assert "288 human ratings" in said["sentence"] and said["ratings_used"] == 288 and not said["simulated"]
    arm = said["arms"][1]
    assert arm["template"] == "prompt b" and arm["n_pulls"] == 80 and arm["n_ratings"] == 96
    assert arm["low"] < arm["estimate"] < arm["high"]
    assert arm["judge"]["high"] < 0.7 < 0.6 + arm["human"]["high"]  # the score alone lies: its scale is not the raters'
    assert [r["rater_id"] for r in said["raters"]] == ["kim", "lee"] and said["raters"][0]["bias"] < said["raters"][1]["bias"]
    assert not any(r["careless"] for r in said["raters"])
    assert said["agreement"]["n_items"] == 48 and said["agreement"]["low"] <= said["agreement"]["alpha"] <= said["agreement"]["high"]


def test_a_true_record_is_borne_out(told):
    assert differences(*told) == []


@pytest.mark.parametrize("place, value", [
    (("prompt_id",), "c"), (("confidence",), 0.99), (("arms", 1, "estimate"), 0.9), (("looks", 0, "z"), 9.0),
    (("raters", 0, "bias"), 0.4), (("settings", "epsilon"), 0.3), (("ratings_used",), 500), (("hashes", "pulls"), "0" * 64),
])  # fmt: skip
def test_a_false_statement_is_found(told, place, value):
    pulls, said = told
    said = copy.deepcopy(said)
    at = said
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    found = differences(pulls, said)
    assert found and (place[0] == "settings" or str(place[-1]) in found[0])


def test_a_changed_rating_is_found(told):
    pulls, said = told
    rows = pulls.to_dicts()
    changed = next(r for r in rows if r["rater_id"] and r["prompt_id"] == "b" and r["human_rating"] == 0.5)
    changed["human_rating"] = 1.0
    found = differences(pl.DataFrame(rows, schema=PULLS.dtypes), said)
    assert any(line.startswith("hashes.pulls") for line in found) and any("arms[1].estimate" in line for line in found)


def test_what_is_no_record_or_no_pulls_of_it_is_refused(told):
    pulls, said = told
    for damaged in ({"decision": "adopt"}, [], said | {"settings": said["settings"] | {"confidence": 2}}):
        with pytest.raises(InputError, match="holds no settings to decide by"):
            differences(pulls, damaged)
    with pytest.raises(InputError, match="value 'strange': is not among the record's arms"):
        differences(pulls.with_columns(prompt_id=pl.lit("strange")), said)
    with pytest.raises(InputError, match="can't be decided from"):
        differences(pulls.filter(pl.col("rater_id").is_null() | (pl.col("prompt_id") != "c")), said)


def test_pulls_come_back_from_their_file_as_they_were(told, tmp_path):
    pulls, said = told
    write(pulls, tmp_path / "pulls", PULLS)
    assert differences(pl.read_parquet(tmp_path / "pulls"), said) == []


def test_before_any_rating_nothing_is_decided():
    rows = [r for r in made(1) if r["rater_id"] is None]
    found = findings(rows, settings())
    assert found["decision"] == "undecided" and found["prompt_id"] == "A" and found["looks"] == []
    assert "nobody has rated yet" in found["sentence"] and found["arms"][1]["judge"] and found["arms"][1]["human"] is None


def test_classic_adopts_the_highest_mean_and_claims_no_confidence():
    rows = [r for r in made(1) if r["rater_id"] is None]
    found = findings(rows, settings(rule="classic"))
    assert (found["decision"], found["prompt_id"], found["confidence"]) == ("adopt", "b", None)
    assert "No confidence is stated" in found["sentence"] and found["looks"] == []
    swapped = [r | {"score": -r["score"]} for r in rows]
    assert findings(swapped, settings(rule="classic"))["decision"] == "keep"
    assert highest_mean([row(1, a, "c1", score=0.5) for a in ARM_IDS], ARM_IDS) == 0


def test_a_verifier_needs_nobody():
    rows = [r for r in made() if r["rater_id"] is None]
    found = findings([r | {"score": 1.0 if r["score"] > 0.2 else -1.0} for r in rows], settings(scorer="verifier"))
    assert found["decision"] == "adopt" and found["prompt_id"] == "b" and found["ratings_used"] == 0
    assert "240 verified answers" in found["sentence"] and found["judge_weight"] == 0


def test_questions_of_one_template_are_one_piece_of_evidence():
    """Twelve questions of three templates, all alike within a template: worth three, however many were asked."""
    level = {"A": (0, -1, 1), "b": (1, 0, 1), "c": (-1, 0, 0)}
    rows = [row(1, a, f"t{t}-x-{i}", score=float(level[a][t]), scorer="verifier") for a in ARM_IDS for t in range(3) for i in range(4)]
    [look] = replay(rows, settings(scorer="verifier")).looks
    assert look.n_rated.tolist() == [3, 3, 3] and look.mean.tolist() == pytest.approx([0, 2 / 3, -1 / 3])


def test_reactions_in_the_app_decide_weighted_by_their_propensity():
    rng = np.random.default_rng(0)
    rows = []
    for i in range(600):
        good = i % 2  # half of the users like everything better, and are shown A more often
        arm = rng.choice(ARM_IDS, p=[0.6, 0.2, 0.2] if good else [0.2, 0.4, 0.4])
        value = float(np.clip(np.round(2 * (TRUE[arm] * 0.7 + 0.4 * good + rng.normal(0, 0.2))) / 2, -1, 1))
        chance = {"A": (0.2, 0.6)[good]}.get(arm, (0.4, 0.2)[good])
        rows.append(row(1, arm, f"s{i}", score=value, scorer="feedback", propensity=chance, cost_usd=0.0))
    found = findings(rows, settings(scorer="feedback", looks=1))
    plain = np.mean([r["score"] for r in rows if r["prompt_id"] == "A"])
    assert found["arms"][0]["estimate"] < plain - 0.05  # what the logging policy flattered
    assert found["decision"] == "adopt" and found["prompt_id"] == "b" and "600 reactions" in found["sentence"]


def test_settings_follow_the_config():
    taken = Settings.of(Config(looks=3, confidence=0.9), ["A", "b"])
    assert (taken.arms, taken.looks, taken.scorer, taken.plan.delta) == (("A", "b"), 3, "reward", 0.1)


@pytest.mark.parametrize("changes, said", [
    ({"scorer": "verifier"}, "task 'qna' is scored by scorer 'verifier'"),
    ({"scorer": "judge"}, "need each other"),
    ({"scorer": "feedback"}, "the event log 'feedback' need each other"),
    ({"rule": "classic", "scorer": "human"}, "answers at once"),
    ({"raters": ("kim",)}, "double_rated needs two raters"),
    ({"raters": ("kim", "kim")}, "two raters have one name"),
    ({"raters": ("../kim", "lee")}, "should match pattern"),
    ({"ratings": "rated.csv"}, "give its round as 'previous'"),
    ({"scorer": "verifier", "task": "qna", "ratings": "simulated"}, "nobody rates"),
])  # fmt: skip
def test_settings_that_do_not_fit_together_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Config(**changes)


def test_every_sentence_names_who_judged():
    said = sentence("undecided", "b", 200, 30, True, settings())
    assert said == "Undecided after 30 simulated ratings: b leads, but not surely enough, so A stays."

"""The adoption record's page, rendered from a small record: every figure on it is the record's."""

import copy

import numpy as np
import polars as pl
import pytest

from components.evaluate_prompts import page, plots
from memozy.records import ARMS, PULLS
from tests.pages import EVIL, Page

TEMPLATE = "{place}에서 {people}와 {mood}, {photo}: 일기를 써 줘."
ARMS_TABLE = pl.DataFrame(
    [{"prompt_id": name, "template": f"{TEMPLATE} {name}", "parent_prompt_id": parent, "origin": origin}
     for name, parent, origin in (("base", None, "incumbent"), ("ppo-1", "base", "ppo"))],
    schema=ARMS.dtypes,
)  # fmt: skip
RECORD = {
    "decision": "adopt", "prompt_id": "ppo-1", "leader": "ppo-1", "incumbent": "base", "confidence": 0.95, "epsilon": 0.1,
    "sentence": "Adopt ppo-1: with 95 % confidence it is better than base, after 5 human ratings.", "rule": "planned",
    "sampler": "ucb1", "scorer": "judge", "task": "diary", "ratings_used": 5, "ratings_needed": None, "simulated": False,
    "cost_usd": 0.0123, "rho": 0.541, "judge_weight": 0.377, "seed": 17,
    "arms": [
        {"prompt_id": "base", "n_pulls": 3, "n_ratings": 2, "n_unread": 1, "score_mean": 0.4, "estimate": 0.211, "low": 0.052,
         "high": 0.371, "se": 0.0713, "judge": {"mean": 0.603, "low": 0.502, "high": 0.704},
         "human": {"mean": 0.184, "low": -0.117, "high": 0.485}},
        {"prompt_id": "ppo-1", "n_pulls": 2, "n_ratings": 3, "n_unread": 0, "score_mean": 0.3, "estimate": 0.522, "low": 0.43,
         "high": 0.614, "se": 0.0418, "judge": {"mean": 0.35, "low": 0.25, "high": 0.45},
         "human": {"mean": 0.577, "low": 0.276, "high": 0.878}},
    ],
    "looks": [{"look": 1, "ratings": 2, "leader": "base", "z": 0.44, "boundary": 8.0},
              {"look": 2, "ratings": 5, "leader": "ppo-1", "z": 2.91, "boundary": 2.24}],
    "raters": [{"rater_id": "mina", "n": 3, "bias": 0.118, "se": 0.046, "noise": 0.31, "careless": False},
               {"rater_id": "june", "n": 2, "bias": -0.118, "se": 0.046, "noise": 0.66, "careless": True}],
    "agreement": {"alpha": 0.712, "low": 0.583, "high": 0.809, "n_items": 41},
    "ledger": {"settled_usd": 1.5, "lost_usd": 0.25, "calls": 1234, "rows": [
        {"stage": "evaluate_prompts", "model": "small-writer", "calls": 1200, "input_tokens": 70000, "output_tokens": 9000,
         "settled_usd": 0.9, "lost_usd": 0.25},
        {"stage": "propose_prompts", "model": "big-writer", "calls": 34, "input_tokens": 500, "output_tokens": 60,
         "settled_usd": 0.6, "lost_usd": 0.0}]},
    "settings": {"arms": ["base", "ppo-1"], "looks": 4, "n_max": 960},
    "hashes": {"pulls": "5b0c" * 16, "arms": "91ee" * 16},
}  # fmt: skip


def pull(prompt_id, context_id, score, **more):
    return {"round": 1, "prompt_id": prompt_id, "context_id": context_id, "score": score, "scorer": "judge", "text": "일기",
            "cost_usd": 0.0} | more  # fmt: skip


def rating(prompt_id, context_id, rater_id, level, round_):
    return {"round": round_, "prompt_id": prompt_id, "context_id": context_id, "rater_id": rater_id, "human_rating": level,
            "rating_source": "f", "cost_usd": 0.0}  # fmt: skip


ROWS = [
    pull("base", "c1", 0.5), pull("ppo-1", "c1", -0.25), pull("base", "c2", None), rating("base", "c1", "mina", 0.5, 1),
    rating("ppo-1", "c1", "june", 1.0, 1), pull("ppo-1", "c2", 1.0, round=2), pull("base", "c3", 0.25, round=2),
    rating("ppo-1", "c2", "mina", 0.5, 2), rating("ppo-1", "c1", "mina", 1.0, 2), rating("base", "c2", "june", 0.0, 2),
]  # fmt: skip


def table(rows):
    return pl.DataFrame(rows, schema=PULLS.dtypes)


def shown(rows=ROWS, arms=ARMS_TABLE, **changes):
    return Page(page.render(copy.deepcopy(RECORD) | changes, table(rows), arms))


@pytest.fixture(scope="module")
def whole():
    return shown()


def test_the_decision_stands_first_with_its_confidence_and_margin(whole):
    start = whole.text.index("Adopt ppo-1: with 95\u00a0% confidence it is better than base")
    assert start < whole.text.index(
        "at most 5\u00a0% adopt or keep a prompt that is worse than the best by 0.10 rating points"
    )
    for said in ("95 %margin 0.10 rating points", "Chosen: B0.520.43 to 0.61", "Ratings5enough to decide", "ρ0.54a score's weight: 0.38",
                 "α0.710.58 to 0.81; 41 items rated twice", "Cost$1.75of the whole run so far; lost $0.2500"):  # fmt: skip
        assert said in whole.text.replace("\n", "").replace("  ", ""), said
    assert "No confidence is stated" not in whole.text and "Simulated" not in whole.text


def test_the_tables_hold_the_records_figures(whole):
    assert whole.row("A base") == [
        "0.210.05 to 0.37",
        "0.071",
        "0.600.50 to 0.70",
        "0.18-0.12 to 0.48",
        "0.40",
        "3",
        "1",
        "2",
    ]
    assert whole.row("B ppo-1") == [
        "0.520.43 to 0.61",
        "0.042",
        "0.350.25 to 0.45",
        "0.580.28 to 0.88",
        "0.30",
        "2",
        "0",
        "3",
    ]
    assert whole.row("1") == ["2", "A", "0.44", "8.00"] and whole.row("2") == ["5", "B", "2.91", "2.24"]
    assert whole.row("mina") == ["3", "0.12 ± 0.05", "0.31", "no sign"]
    assert whole.row("june") == ["2", "-0.12 ± 0.05", "0.66", "seems not to read"]
    assert whole.row("evaluate_prompts") == ["small-writer", "1,200", "70,000", "9,000", "$0.9000", "$0.2500"]
    assert whole.row("All, up to") == ["1,234", "70,500", "9,060", "$1.50", "$0.2500"]
    assert whole.row("settings.arms") == ['["base", "ppo-1"]'] and whole.row("seed") == ["17"]
    assert whole.row("hashes.pulls") == ["5b0c" * 16]
    assert "α is 0.71, 95\u00a0% interval 0.58 to 0.81, on 41 items" in whole.text
    assert "memozy verify-decision <folder>" in whole.text
    for name in ("base", "ppo-1"):
        assert f"{TEMPLATE} {name}" in whole.text


def test_every_plot_says_its_figures_to_who_does_not_see_it(whole):
    forest, looks, sampling, pulls, ratings = whole.labels()
    assert (
        "A: corrected 0.21 (0.05 to 0.37), scores alone 0.60 (0.50 to 0.70), people alone 0.18 (-0.12 to 0.48)"
        in forest
    )
    assert "look 1: z 0.44, boundary 8.00; look 2: z 2.91, boundary 2.24" in looks
    # rewards 0.5 - 0.25 + 0 + 1 + 0.25; the best arm is B, and A, 0.311 below it, was pulled three times
    assert sampling == "After 5 pulls: cumulative reward 1.50, cumulative regret 0.93."
    assert pulls.endswith("A: 2 in round 1, 1 in round 2; B: 1 in round 1, 1 in round 2.")
    assert ratings.endswith("A: 1 in round 1, 1 in round 2; B: 1 in round 1, 2 in round 2.")


def test_what_a_reviewer_should_know_is_said(whole):
    for said in ("The scores alone would have put A first, not B", "1 of 3 answers about A could not be read and count as a score of 0.",
                 "june seems not to read"):  # fmt: skip
        assert said in whole.text, said
    calm = copy.deepcopy(RECORD["arms"])
    calm[0] |= {"n_unread": 0, "judge": {"mean": 0.1, "low": 0.0, "high": 0.2}}
    assert page.warnings(RECORD | {"raters": []}, page.arm_rows(RECORD | {"arms": calm}, ARMS_TABLE)) == []


def test_the_page_is_self_contained_and_the_same_each_time(whole):
    whole.check_self_contained()
    assert whole.html == shown().html


def test_text_from_models_and_raters_is_inert_wherever_it_stands():
    rows, arms = copy.deepcopy(ROWS), ARMS_TABLE.with_columns(pl.col("prompt_id").replace("ppo-1", EVIL))
    arms = arms.with_columns(pl.lit(EVIL).alias(column) for column in ("template", "origin", "parent_prompt_id"))
    record = copy.deepcopy(RECORD) | {"sentence": EVIL, "sampler": EVIL, "task": EVIL, "seed": EVIL}
    record["arms"][1]["prompt_id"] = record["leader"] = record["prompt_id"] = EVIL
    record["raters"][1]["rater_id"] = record["looks"][0]["leader"] = record["ledger"]["rows"][0]["model"] = EVIL
    record["ledger"]["rows"][1]["stage"] = EVIL
    record |= {"settings": {EVIL: [EVIL], "looks": 4}, "hashes": {EVIL: EVIL}}
    for row in rows:
        row |= {"prompt_id": EVIL if row["prompt_id"] == "ppo-1" else "base", "text": EVIL}
    Page(page.render(record, table(rows), arms)).check_inert()


def test_nobody_has_rated_yet():
    """What an evaluation tells that ends in its first sheets: pulls and scores, no look, no rating."""
    record = copy.deepcopy(RECORD) | {"decision": "undecided", "prompt_id": "base", "leader": "base", "looks": [], "raters": [],
                                      "rho": None, "judge_weight": None, "agreement": None, "ratings_used": 0}  # fmt: skip
    for arm in record["arms"]:
        arm |= {"estimate": None, "low": None, "high": None, "se": None, "human": None, "n_ratings": 0}
    seen = Page(page.render(record, table([r for r in ROWS if "rater_id" not in r]), ARMS_TABLE))
    for said in ("No look was made yet", "Nobody has rated", "nothing was rated by two people", "No rater's bias was estimated",
                 "how many more is not known", "How many more ratings it would take is not known. 0 of 4 planned looks are used."):  # fmt: skip
        assert said in seen.text, said
    assert " nan" not in seen.text and "None" not in seen.text
    assert "In use: A" in seen.text and "leads" not in seen.text
    assert [label.partition(".")[0] for label in seen.labels()] == [
        "Each arm's mean rating", "After 5 pulls: cumulative reward 1", "Pulls of each arm in each round",
    ]  # fmt: skip


def test_an_open_decision_says_what_it_would_take():
    open_ = RECORD | {"decision": "undecided", "prompt_id": "base", "ratings_needed": 1500}
    seen = Page(page.render(open_, table([]), ARMS_TABLE))
    assert (
        "About 1,500 more ratings would decide it if the estimates are right. 2 of 4 planned looks are used."
        in seen.text
    )
    assert (
        "Leader: B" in seen.text
        and "B ppo-1 leads" in [row[0] for row in seen.rows]
        and "1,500 more needed" in seen.text
    )
    used = page.needed(open_ | {"settings": {"looks": 2}})
    assert used.endswith(
        "All 2 planned looks are used, and the confidence covers planned looks only: start a new evaluation."
    )
    assert page.needed(RECORD) == ""
    assert page.needed(open_ | {"scorer": "verifier"}).startswith("About 1,500 more verified answers")


def test_ratings_that_nobody_gave_are_told():
    record = copy.deepcopy(RECORD) | {"answered": {"asked": 40, "given": 31}}
    assert "Of 40 ratings asked for in the last round 31 were given" in Page(page.render(record, table(ROWS), ARMS_TABLE)).text
    record["answered"]["given"] = 40
    assert "asked for in the last round" not in Page(page.render(record, table(ROWS), ARMS_TABLE)).text


def test_the_classic_procedure_states_no_confidence_and_shows_reward_and_regret():
    record = copy.deepcopy(RECORD) | {"rule": "classic", "confidence": None, "looks": [], "raters": [], "agreement": None,
                                      "rho": None, "judge_weight": None, "prompt_id": "base", "leader": "base",
                                      "sentence": "Adopt base: it has the highest mean score after 5 pulls."}  # fmt: skip
    for arm in record["arms"]:
        arm |= {"estimate": None, "low": None, "high": None, "se": None, "human": None}
    seen = Page(page.render(record, table([r for r in ROWS if "rater_id" not in r]), ARMS_TABLE))
    assert "No confidence is stated. The classic procedure" in seen.text and "more pulls do not cure it" in seen.text
    assert "Confidence–none is stated" in seen.text.replace("\n", "").replace("  ", "")
    assert "1 of 3 answers about A could not be read and count as a score of 0." in seen.text
    assert "plans no looks" in seen.text and "at 95" not in seen.text and "would have put" not in seen.text
    # now the best arm is A, by its mean score 0.4; B, 0.1 below it, was pulled twice
    assert "After 5 pulls: cumulative reward 1.50, cumulative regret 0.20." in seen.labels()


def test_a_bare_record_and_no_pulls():
    bare = {key: RECORD[key] for key in ("decision", "prompt_id", "incumbent", "epsilon", "sentence", "rule", "scorer",
                                         "ratings_used")}  # fmt: skip
    bare["simulated"] = True
    bare["arms"] = [{"prompt_id": name, "n_pulls": 0, "n_ratings": 0} for name in ("base", "ppo-1")]
    seen = Page(page.render(bare, table([]), ARMS_TABLE))
    assert "No person judged a diary" in seen.text
    assert "No arm was pulled yet" in seen.text and "No paid call was made" in seen.text and not seen.labels()
    assert "None" not in seen.text


def test_rewards_and_regrets_by_hand():
    reward, regret = page.sampled(table(ROWS), {"base": 0.5, "ppo-1": 0.25})
    assert reward == [0.5, 0.25, 0.25, 1.25, 1.5] and regret == [0.0, 0.25, 0.25, 0.5, 0.5]
    assert page.sampled(table([pull("base", "c1", None)]), {"base": 0.5}) == ([], [])
    upper, lower = plots.sampling(np.arange(5000.0), np.ones(5000)).axes
    assert len(upper.lines[0].get_xdata()) == plots.MOST_POINTS
    assert (upper.lines[0].get_xdata()[-1], upper.lines[0].get_ydata()[-1]) == (5000, 4999) and lower.lines[
        0
    ].get_ydata()[0] == 1

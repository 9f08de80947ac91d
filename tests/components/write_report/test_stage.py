import json

import polars as pl
import pytest

from components.write_report.config import Config
from components.write_report.stage import run
from memozy.records import InputError
from tests.pages import EVIL, Page


def test_the_page_says_the_decision_the_truth_and_that_it_is_simulated(artifacts, write_page):
    page = Page(write_page(artifacts))
    assert page.text.index("Adopt ppo-d07e: with 95\u00a0% confidence") < page.text.index("Simulated.")
    assert "The micro-world's truth agrees: ppo-d07e is truly the best of these prompts." in page.text
    for template in artifacts["arms"]["template"]:
        assert template in page.text
    assert "0.59 to 0.77" in page.text and "12.9 standard errors" in page.text and "hunter2" not in page.text
    assert len(page.labels()) == 11


def test_the_page_is_self_contained_and_well_formed(artifacts, write_page):
    Page(write_page(artifacts)).check_self_contained()


def test_the_same_artifacts_give_the_same_bytes(artifacts, write_page):
    assert write_page(artifacts, "one") == write_page(artifacts, "two")


def test_text_from_models_and_files_is_inert_wherever_it_stands(artifacts, write_page):
    a = artifacts
    evil = pl.lit(EVIL)
    a["pulls"] = a["pulls"].with_columns(text=evil, context_id=pl.col("context_id") + evil)
    a["oversampled"] = a["oversampled"].with_columns(text=evil)
    a["arms"] = a["arms"].with_columns(template=evil, origin=evil, parent_prompt_id=evil)
    a["samples"] = [row | {"response": EVIL} for row in a["samples"]]
    a["decision"] |= {"sentence": EVIL, "hashes": {EVIL: EVIL}}
    a["decision"]["looks"][0]["leader"] = EVIL
    a["registered"] = {EVIL: EVIL, "tracking_uri": EVIL}
    a["card"] |= {"champion": EVIL, "model_hash": EVIL}
    a["card"]["candidates"][0]["name"] = EVIL
    a["version"]["version"] = EVIL
    page = Page(write_page(a))
    page.check_inert()
    assert page.text.count("<script>alert(1)</script>") > 20


def test_what_is_missing_is_said_in_words(artifacts, write_page):
    a = artifacts
    a["truth"], a["curves"], a["samples"], a["registered"] = {}, [], [], {}
    a["pulls"] = a["pulls"].filter(pl.col("rater_id").is_null())
    a["predictions"] = a["predictions"].filter(split="train")
    del a["card"]["metrics"]["test"], a["decision"]["looks"], a["decision"]["rho"]
    a["decision"] |= {
        "decision": "undecided",
        "prompt_id": "prompt-a",
        "simulated": False,
        "ratings_used": 0,
        "ratings_needed": 640,
    }
    a["decision"]["arms"] = [
        arm | {"estimate": None, "low": None, "high": float("nan")} for arm in a["decision"]["arms"]
    ]
    a["version"]["simulated"] = False
    page = Page(write_page(a))
    for said in (
        "true means are not known", "No PPO update was recorded", "No prompt sample was recorded",
        "No diary of this arm was rated", "There is no held-out test diary", "No planned look", "about 640 more needed",
        "The leader so far",
    ):  # fmt: skip
        assert said in page.text, said
    assert "Simulated" not in page.text
    assert "– to –" in page.text and " nan" not in page.text and "None" not in page.text


def test_an_evaluation_without_pulls_or_a_confidence(artifacts, write_page):
    artifacts["pulls"] = artifacts["pulls"].clear()
    artifacts["decision"] |= {"confidence": None, "rule": "classic"}
    page = Page(write_page(artifacts))
    assert "No diary was written for the evaluation" in page.text
    head = page.text[: page.text.index("Adopt ppo")]
    assert "No confidence is stated" in head and "rating points" not in head


def test_an_artifact_that_lacks_a_key_or_is_no_json_is_named(artifacts, save_artifacts, tmp_path):
    del artifacts["decision"]["sentence"]
    paths = save_artifacts(artifacts, tmp_path)
    with pytest.raises(InputError, match="decision, field 'sentence': is missing"):
        run(Config(), **paths, report=tmp_path / "report.html")
    paths["curves"].write_text(json.dumps({"step": 0}) + "\n{oops\n")
    with pytest.raises(InputError, match="curves, row 2: is not JSON"):
        run(Config(), **paths, report=tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_component_takes_the_artifacts_of_run():
    from components.write_report.component import write_report
    from memozy.stages import artifacts

    spec = write_report.component_spec
    assert set(spec.inputs) - {"config"} == set(artifacts("write_report", "in"))
    assert set(spec.outputs) == set(artifacts("write_report", "out"))


def test_ratings_count_for_the_round_they_were_given_in(artifacts, write_page):
    """A diary of round 1 may be rated in round 3: each plot's words say what its cells hold."""
    late = pl.col("rater_id").is_not_null() & (pl.col("prompt_id") == "prompt-a")
    artifacts["pulls"] = artifacts["pulls"].with_columns(round=pl.when(late).then(3).otherwise("round"))
    labels = Page(write_page(artifacts)).labels()
    written = next(label for label in labels if label.startswith("Diaries of each arm"))
    rated = next(label for label in labels if label.startswith("Ratings of each arm"))
    assert "A: 40 at round 1, 40 at round 2, 40 at round 3;" in written
    assert "A: 0 at round 1, 0 at round 2, 36 at round 3; B: 20 at round 1, 8 at round 2, 8 at round 3;" in rated

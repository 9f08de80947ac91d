import json
import re
from html.parser import HTMLParser

import polars as pl
import pytest

from components.write_report.config import Config
from components.write_report.stage import run
from memozy.records import InputError

VOID = {"meta", "br", "img", "hr", "link", "input"}


class Page(HTMLParser):
    """What a browser would see: elements with attributes, ids, visible text; complains about unclosed tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(page)
        assert not self.open, f"unclosed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def test_the_page_says_the_decision_the_truth_and_that_it_is_simulated(artifacts, write_page):
    page = Page(write_page(artifacts))
    assert page.text.index("Adopt ppo-d07e: with 95\u00a0% confidence") < page.text.index("Simulated.")
    assert "The micro-world's truth agrees: ppo-d07e is truly the best of these prompts." in page.text
    for template in artifacts["arms"]["template"]:
        assert template in page.text
    assert "0.59 to 0.77" in page.text and "12.9 standard errors" in page.text and "hunter2" not in page.text
    assert len([a for a in page.all("svg") if a.get("aria-label")]) == len(page.all("svg")) == 11


def test_the_page_is_self_contained_and_well_formed(artifacts, write_page):
    text = write_page(artifacts)
    page = Page(text)
    assert not page.all("script") and not page.all("link") and not page.all("img")
    assert [
        a for _, attrs in page.elements for k, a in attrs.items() if k in ("src", "href") and not a.startswith("#")
    ] == []
    assert "@import" not in text and not re.search(r"url\((?!#)", text) and "http" not in text.replace("http-equiv", "")
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))


def test_the_same_artifacts_give_the_same_bytes(artifacts, write_page):
    assert write_page(artifacts, "one") == write_page(artifacts, "two")


EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{place}"


def test_text_from_models_and_files_is_inert_wherever_it_stands(artifacts, write_page):
    a = artifacts
    evil = pl.lit(EVIL)
    a["pulls"] = a["pulls"].with_columns(text=evil, context_id=pl.col("context_id") + evil)
    a["oversampled"] = a["oversampled"].with_columns(text=evil)
    a["arms"] = a["arms"].with_columns(template=evil, origin=evil, parent_prompt_id=evil)
    a["samples"] = [row | {"prompt": EVIL} for row in a["samples"]]
    a["decision"] |= {"sentence": EVIL, "hashes": {EVIL: EVIL}}
    a["decision"]["looks"][0]["leader"] = EVIL
    a["registered"] = {EVIL: EVIL, "tracking_uri": EVIL}
    a["card"] |= {"champion": EVIL, "model_hash": EVIL}
    a["card"]["candidates"][0]["name"] = EVIL
    a["version"]["version"] = EVIL
    page = Page(write_page(a))
    assert not page.all("script") and not page.all("img")
    assert not [k for _, attrs in page.elements for k in attrs if k.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") > 20


def test_what_is_missing_is_said_in_words(artifacts, write_page):
    a = artifacts
    a["truth"], a["curves"], a["samples"], a["registered"] = {}, [], [], {}
    a["pulls"] = a["pulls"].with_columns(human_rating=pl.lit(None, pl.Float64), rated_round=pl.lit(None, pl.Int64))
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


def test_an_evaluation_without_pulls(artifacts, write_page):
    artifacts["pulls"] = artifacts["pulls"].clear()
    assert "No diary was written for the evaluation" in Page(write_page(artifacts)).text


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
    late = pl.when(pl.col("prompt_id") == "prompt-a").then(pl.col("rated_round") * 0 + 3).otherwise("rated_round")
    artifacts["pulls"] = artifacts["pulls"].with_columns(rated_round=late)
    labels = [a["aria-label"] for a in Page(write_page(artifacts)).all("svg")]
    written = next(label for label in labels if label.startswith("Diaries of each arm"))
    rated = next(label for label in labels if label.startswith("Rated diaries"))
    assert "A: 40 at round 1, 40 at round 2, 40 at round 3;" in written
    assert "A: 0 at round 1, 0 at round 2, 36 at round 3; B: 20 at round 1, 8 at round 2, 8 at round 3;" in rated

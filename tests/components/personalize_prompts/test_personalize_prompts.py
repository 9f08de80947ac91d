"""The stage: from a log of reactions to an allocation and a page."""

import json
import re

import numpy as np
import polars as pl
import pytest

from memozy.feedback import draw, read_allocation
from memozy.records import ARMS, InputError, write, write_jsonl
from memozy.stages import execute

EVIL = "<script>alert(1)</script>"
LIKE = {"young": (0.5, 0.7, 0.6), "old": (0.9, 0.4, 0.6), EVIL: (0.5, 0.7, 0.6), None: (0.9, 0.4, 0.6)}


@pytest.fixture(scope="module")
def events():
    """A log of 1,340 showings, prompts drawn 0.2, 0.6, 0.2; half of the users react, and like it as often as LIKE says."""
    rng, rows = np.random.default_rng(5), []
    for segment, n in (("young", 800), ("old", 400), (EVIL, 40), (None, 100)):
        for _ in range(n):
            arm, showing = rng.choice(3, p=(0.2, 0.6, 0.2)), f"s{len(rows)}"
            rows.append({"event_id": showing, "shown_id": showing, "kind": "shown", "prompt_id": "ABC"[arm],
                         "propensity": (0.2, 0.6, 0.2)[arm], "segment": segment})  # fmt: skip
            if rng.random() < 0.5:
                kind = "like" if rng.random() < LIKE[segment][arm] else "dislike"
                rows.append({"event_id": f"r{len(rows)}", "shown_id": showing, "kind": kind})
    return rows


@pytest.fixture
def personalize(tmp_path, mlflow_store):
    def run(events=None, adopted="B", **config):
        ids = sorted({"A", "B", "C", adopted} - {"Z"})
        templates = [f"{{place}} {{people}} {{mood}} {{photo}} {i}" for i in ids]
        arms = pl.DataFrame({"prompt_id": ids, "template": templates, "parent_prompt_id": None, "origin": "history"})
        write(arms, tmp_path / "arms.parquet", ARMS)
        decision = {"decision": "adopt", "prompt_id": adopted, "incumbent": "A"}
        (tmp_path / "decision.json").write_text(json.dumps(decision))
        if events is not None:
            write_jsonl(events, tmp_path / "events.jsonl")
            config["feedback"] = str(tmp_path / "events.jsonl")
        result = execute("personalize_prompts", config,
                         {"arms": str(tmp_path / "arms.parquet"), "decision": str(tmp_path / "decision.json")},
                         {"allocation": str(tmp_path / "allocation.json"), "personal_report": str(tmp_path / "page.html")})  # fmt: skip
        return result.metrics, read_allocation(tmp_path / "allocation.json"), (tmp_path / "page.html").read_text()

    return run


def test_a_segment_with_a_taste_of_its_own_gets_its_own_prompt(personalize, events):
    metrics, allocation, html = personalize(events)
    assert allocation.segments["old"] == {"A": 0.9, "B": 0.05, "C": 0.05}
    assert allocation.segments["young"] == allocation.segments[EVIL] == allocation.everyone
    assert allocation.everyone == {"A": 0.05, "B": 0.9, "C": 0.05}  # and that is what users of no segment get
    assert draw(allocation, None, "u")[1] in (0.05, 0.9)
    assert metrics["n_showings"] == 1340 and metrics["n_segments"] == 3 and metrics["n_departing"] == 1
    # logged: 0.2 and 0.6 and 0.2 of (0, 0.2, 0.1) for the 840, of (0.4, -0.1, 0.1) for the 500; the allocation gives the
    # 840 0.185, the 400 0.36 and the 100 -0.065: 0.2186 in all, against 0.1022
    assert metrics["gain_low"] < 0.2186 - 0.1022 < metrics["gain_high"] and metrics["gain_low"] > 0
    assert "old departed in" in html and "old is given A; everyone else B" in html


def test_a_page_cannot_be_written_by_its_segments(personalize, events):
    _, _, html = personalize(events)
    assert EVIL not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html and not re.search(r"(src|href)=\"?http", html)


def test_without_feedback_everyone_gets_the_decision(personalize):
    metrics, allocation, html = personalize()
    assert allocation.everyone == {"A": 0.05, "B": 0.9, "C": 0.05} and allocation.segments == {}
    assert metrics == {"n_showings": 0, "n_segments": 0, "n_departing": 0}
    assert "Nobody's feedback was there" in html.replace("&#39;", "'")
    assert "<h1>B for everyone, 90 % of showings</h1>" in html and '<th scope="row">everyone</th>' in html


def test_a_prompt_never_shown_has_no_gain(personalize, events):
    metrics, _, html = personalize([e for e in events[:600] if e["kind"] == "shown"] + [
        {"event_id": f"l{i}", "shown_id": e["shown_id"], "kind": "like"} for i, e in enumerate(events[:600])
        if e["kind"] == "shown" and e["prompt_id"] == "A"], adopted="D")  # fmt: skip
    assert "gain" not in metrics and "was never shown to such users" in html


def test_only_the_showings_since_the_last_allocation_judge(personalize):
    rng, rows = np.random.default_rng(0), []
    for i in range(1000):
        prompt = rng.choice(["A", "gone"] if i < 400 else ["A", "B", "C"])
        rows.append({"event_id": f"s{i}", "shown_id": f"s{i}", "kind": "shown", "prompt_id": str(prompt),
                     "propensity": 0.5 if i < 400 else 1 / 3})  # fmt: skip
        if prompt == "B":
            rows.append({"event_id": f"l{i}", "shown_id": f"s{i}", "kind": "like"})
    metrics, _, html = personalize(rows)
    # the adopted B, worth 1, gets 0.9; until now it got a third, and everything else is worth 0
    assert metrics["gain_low"] < 0.9 - 1 / 3 < metrics["gain_high"] and metrics["n_showings"] == 1000
    first = {
        p: next(i for i, r in enumerate(r for r in rows if r["kind"] == "shown") if r["prompt_id"] == p) for p in "BC"
    }
    assert f"The {999 - max(first.values())} showings judge" in html and "not the chances" not in html


def test_a_short_log_is_shown_and_not_judged(personalize, events):
    metrics, _, html = personalize(events[:20])
    assert "gain" not in metrics and "too few showings" in html


def test_bad_inputs_are_refused(personalize, events):
    with pytest.raises(InputError, match="decision.json, field 'prompt_id', value 'Z': is not among the arms"):
        personalize(adopted="Z")
    with pytest.raises(InputError, match="events.jsonl, row 2, field 'shown_id'"):
        personalize([events[0], {"event_id": "r", "shown_id": "none", "kind": "like"}])
    with pytest.raises(InputError, match="exploration.*less than or equal to 0.5"):
        personalize(exploration=0.6)
    with pytest.raises(InputError, match="shows none of the prompts compared here"):
        personalize([e | {"prompt_id": "gone"} for e in events[:40] if e["kind"] == "shown"])

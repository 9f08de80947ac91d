"""The comparison of writers, and its page."""

import json
import re

import pytest

from components.propose_prompts.checks import CHECKS, REQUIRED, Shown
from components.propose_prompts.page import render, sentence
from components.propose_prompts.study import Source, interval, row
from memozy.llm import Completion

KNOWN = "사진 일기를 써 줘. 장소는 {place}, 함께한 사람은 {people}, 기분은 {mood}, 사진은 {photo}."
SHORT = "{place}에서 {people}와 보낸 하루를 {photo} 사진과 {mood} 기분이 드러나게 한 문장의 일기로 써 줘."
LONG = "{photo}, {mood}, {people}, {place}를 모두 살려 다섯 문장으로 자세한 일기를 써 주세요. 제목은 넣지 마세요."
ROW = {"source": "a", "score": [0.5, 0.4, 0.6], "prompts": [{"text": SHORT, "score": 0.5}]}


def answers(*texts, cost=0.25):
    return [Completion(text, cost) for text in texts]


def test_a_row_counts_answers_and_scores_each_prompt_once():
    said = [f'"{SHORT}"', SHORT, LONG, KNOWN, "{place}의 하루를 다정한 일기로 써 줘."]
    source = Source("gpt", "gpt-9", [*answers(*said), Completion("", 0.0, failure="timed out")], Shown(), [KNOWN])
    assert source.candidates == [SHORT, LONG]
    found = row(source, {SHORT: 0.5, LONG: 0.1, KNOWN: 0.9})
    assert (found["asked"], found["usable"], found["distinct"], found["cost_usd"]) == (6, 4 / 6, 2 / 6, 1.25)
    assert found["passed"] == dict.fromkeys(CHECKS, 5 / 6) | {"slots kept": 4 / 6, "one sentence": 3 / 6}
    # of 0.5 and 0.1: mean 0.3, standard error 0.2; Student's t at one degree of freedom is tan(0.475 π) = 12.7062
    assert found["score"] == pytest.approx([0.3, 0.3 - 2.54124, 0.3 + 2.54124], abs=1e-4)
    assert found["best"] == 0.5
    assert found["prompts"] == [{"text": SHORT, "score": 0.5}, {"text": LONG, "score": 0.1}]
    assert found["failures"] == [{"text": "{place}의 하루를 다정한 일기로 써 줘.", "checks": ["slots kept"]},
                                 {"text": "timed out", "checks": []}]  # fmt: skip


def test_of_one_prompt_there_is_no_interval_and_of_none_no_mean():
    assert interval([0.25]) == [0.25, None, None]
    assert interval([]) == [None, None, None]


def test_a_source_without_a_usable_prompt_has_no_score():
    found = row(Source("base", "m", answers("모르겠다.", "모르겠다."), Shown(), []), {})
    assert found["score"] == [None, None, None] and found["best"] is None and found["usable"] == 0
    assert len(found["failures"]) == 1  # the same failure is shown once


@pytest.mark.parametrize(
    ("score", "said"),
    [
        ([0.5, 0.4, 0.6], "0.50, above the incumbent's 0.30."),
        ([0.5, 0.2, 0.8], "0.50, not told apart from the incumbent's 0.30."),
        ([0.1, 0.0, 0.2], "0.10, below the incumbent's 0.30."),
        ([0.5, None, None], "0.50, of one prompt, against the incumbent's 0.30."),
    ],
)
def test_the_sentence_claims_what_the_interval_shows(score, said):
    rows = [ROW | {"score": score}, ROW | {"source": "b", "score": [-0.5, -0.6, -0.4]}, ROW | {"score": [None] * 3}]
    assert sentence(rows[1:], 0.3).startswith("Only prompts of b can be used; their mean score: -0.50, below")
    assert (
        sentence([ROW | {"score": score}, rows[2]], 0.3) == f"Only prompts of a can be used; their mean score: {said}"
    )
    if score[1] is not None:
        assert sentence(rows, 0.3) == f"Prompts of a score best on average: {said}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([0.5, 0.4, 0.6], [0.1, -0.4, 0.6]),
        ([0.5, 0.4, 0.6], [0.1, -0.2, 0.4]),
        ([0.5, 0.4, 0.6], [0.1, None, None]),
        ([0.5, None, None], [0.1, 0.0, 0.2]),
    ],
)
def test_no_source_is_named_best_that_is_not_told_apart(one, other):
    said = "No source is shown to write the best prompts: mean scores of 0.10 to 0.50, the incumbent's is 0.30."
    rows = [ROW | {"score": one}, ROW | {"source": "b", "score": other}]
    assert sentence(rows, 0.3) == sentence(rows[::-1], 0.3) == said


def test_the_page_escapes_what_it_shows_and_asks_for_nothing():
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    failed = Completion("", 0.0, failure="timed out")
    rows = [row(Source("gpt", evil, [*answers(SHORT, LONG, evil), failed], Shown(), []), {SHORT: 0.5, LONG: 0.1}),
            row(Source("none", "m", answers(evil), Shown(), []), {})]  # fmt: skip
    told = {
        "incumbent": 0.3,
        "contexts": 12,
        "checks": CHECKS,
        "required": REQUIRED,
        "sources": json.loads(json.dumps(rows)),
    }
    arms = [{"prompt_id": "A", "template": evil, "parent_prompt_id": None, "origin": "incumbent"}]
    html = render(told, arms, task=evil)
    assert "<script" not in html and "<img" not in html and html.count("&lt;script&gt;") >= 4
    assert "0.30 (-2.24 to 2.84)" in html and not re.search(r"""(?:src|href)=["'](?!#)""", html)
    assert '>timed out</p><p class="source">the call failed</p>' in html
    assert "What the writers were asked" not in render(told, arms, task=None)

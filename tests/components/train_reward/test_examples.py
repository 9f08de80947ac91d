"""Few-shot examples: balanced, disjoint by group; and no row is graded by a judge that saw its group."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.train_reward.examples import choose, grade_rows, shortfall
from memozy.records import RATING_LEVELS, InputError, nearest_level
from memozy.reward.judge import RUBRIC, Example, Judge
from tests.endpoint import PAID, judged, serving

REAL = Path(os.environ.get("MEMOZY_SHARED_DATA", Path(__file__).parents[4] / "shared/data")) / "rated_diaries.jsonl"


def groups_of(examples):
    return {e.group_id for e in examples}


def test_every_level_is_shown_twice_in_both_sets():
    # 20 groups, in each a row of the group's own level and one of level 0
    ratings = [r for g in range(20) for r in (RATING_LEVELS[g % 5], 0.0)]
    groups = [f"g{g}" for g in range(20) for _ in range(2)]
    texts = [f"{n}번째 일기" for n in range(40)]
    a, b = choose(texts, ratings, groups, per_level=2, seed=0)
    for examples in (a, b):
        assert Counter(e.rating for e in examples) == dict.fromkeys(RATING_LEVELS, 2)
        assert len(groups_of(examples)) == 10
        assert shortfall(examples, 2) == ""
        for e in examples:
            n = texts.index(e.text)
            assert (e.rating, e.group_id) == (ratings[n], groups[n])
    assert not groups_of(a) & groups_of(b)
    assert choose(texts, ratings, groups, 2, seed=0) == (a, b) != choose(texts, ratings, groups, 2, seed=1)


def test_a_level_with_too_few_groups_has_fewer_examples_and_says_so():
    # level -1 in three groups, level 1 in one, level 0 in all ten
    ratings = [-1, -1, -1, 1, *[0] * 10]
    groups = [0, 1, 2, 3, *range(10)]
    a, b = choose([f"{n}" for n in range(14)], ratings, groups, per_level=2, seed=3)
    # the only level 1 goes to the first set, so of level -1 the second is served first: 2 and 1
    none = "level -0.5: 0 of 2 examples, level 0.5: 0 of 2 examples, level 1"
    assert shortfall(a, 2) == f"level -1: 1 of 2 examples, {none}: 1 of 2 examples"
    assert shortfall(b, 2) == f"{none}: 0 of 2 examples"
    assert not groups_of(a) & groups_of(b)


def test_two_sets_need_two_groups():
    with pytest.raises(InputError, match="group_id', value 'g': has one group only.*Rate diaries of more photos"):
        choose(["가", "나"], [1, 0], ["g", "g"], 2, 0)


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 12)), min_size=2, max_size=40), st.integers(1, 3))
def test_sets_are_disjoint_by_group_whatever_was_rated(rows, per_level):
    ratings, groups = zip(*rows, strict=True)
    if len(set(groups)) < 2:
        return
    a, b = choose([f"{n}" for n in range(len(rows))], ratings, groups, per_level, 0)
    assert not groups_of(a) & groups_of(b)
    for examples in (a, b):
        assert len({e.text for e in examples}) == len(examples)
        assert all(n <= per_level for n in Counter(nearest_level(e.rating) for e in examples).values())
    assert a and b


@pytest.mark.skipif(not REAL.is_file(), reason="the shared data set is not here")
def test_real_diaries_fill_both_sets():
    rows = [json.loads(line) for line in REAL.read_text(encoding="utf-8").splitlines()]
    columns = [[r[c] for r in rows] for c in ("text", "rating", "image_id")]
    for seed in range(5):
        a, b = choose(*columns, per_level=4, seed=seed)
        assert len(groups_of(a)) == len(groups_of(b)) == 20 and not groups_of(a) & groups_of(b)


def answer(prompt):
    """Grades a text, «<group> …», 1 where an example in the prompt is of its group, else 0; garbage for «broken»."""
    *shown, text = re.findall(r"<diary>\n(\S+) (.*)\n</diary>", prompt)
    return "?" if text[1] == "broken" else json.dumps({"rating": int(text[0] in dict(shown))})


@pytest.fixture
def endpoint():
    with serving(answer) as server:
        yield server


def test_each_row_is_graded_once_by_a_judge_that_saw_nothing_of_its_group(endpoint, capsys):
    groups = [f"g{n % 12}" for n in range(60)]
    texts = [f"{g} {n}" for n, g in enumerate(groups)]
    texts[17], texts[40] = "g5 broken", "g4 broken"
    ratings = [RATING_LEVELS[n % 12 % 5] for n in range(60)]
    a, b = (Judge(PAID, RUBRIC, e) for e in choose(texts, ratings, groups, 1, 0))
    assert len(groups_of(a.examples)) == 5

    said = grade_rows(a, b, texts, groups)
    assert f"m grades 60 texts for at most ${a.cost_bound(texts):.2f}\n" in capsys.readouterr().out
    assert np.flatnonzero(np.isnan(said.values)).tolist() == [17, 40]
    assert said.failures == [(17, "?"), (40, "?")]
    assert np.nansum(said.values) == 0  # nobody peeked
    paid = Counter(judged(prompt) for prompt in endpoint.paid.elements())
    assert paid == Counter(dict.fromkeys(texts, 1)) | {"g5 broken": 2, "g4 broken": 2}
    assert said.cost_usd == pytest.approx(endpoint.usd)

    peeking = a.grade(texts).values  # set A alone, on its own groups too: the server would tell
    assert [v == 1 for v in peeking] == [
        g in groups_of(a.examples) and n not in (17, 40) for n, g in enumerate(groups)
    ]


def test_a_judge_that_mostly_fails_is_refused_with_what_it_said(endpoint):
    a, b = (Judge(PAID, RUBRIC, (Example(f"{group} 예", 1, group),)) for group in ("g0", "g1"))
    groups = [f"g{n % 10}" for n in range(10)]  # g0 is graded by b, all others by a
    texts = [f"{g} {'broken' if g in ('g0', 'g5') else 'fine'}" for g in groups]
    assert [row for row, _ in grade_rows(a, b, texts, groups).failures] == [0, 5]  # a fifth is borne
    with pytest.raises(InputError, match="llm.model', value 'm': no grade .* for 3 of 11 texts; .*'\\?'"):
        grade_rows(a, b, [*texts, "g2 broken"], [*groups, "g2"])


def test_judges_that_share_a_group_are_refused():
    a, b = (Judge(PAID, RUBRIC, (Example(text, 1, "g7"),)) for text in "가나")
    with pytest.raises(InputError, match="value 'g7': is shown to both judges"):
        grade_rows(a, b, ["다"], ["g1"])

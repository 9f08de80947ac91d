"""Who sees what next. What an answer is, is tested with the two tasks; the page's own view of it in test_page."""

import json

import krippendorff
import numpy as np
import pytest

from annotation.answers import Answers
from annotation.desk import Refused
from annotation.items import Item, read
from annotation.tasks import ENOUGH, Rank, Rate
from components.evaluate_prompts.sheet import read_sheets, write_sheets

DIARIES = [
    Item(f"d{n}", (f"글 {n}",), {"context_id": f"c{n}", "image_id": f"p{n}"}, {"place": "해운대"}) for n in range(24)
]
LISTS = [Item(f"c{n}", tuple(f"글 {n}-{k}" for k in range(4)), {"context_id": f"c{n}"}, {}) for n in range(3)]


@pytest.fixture
def desk(tmp_path):
    """Opens a desk on the same file anew, as a server that was started again does."""
    opened = []

    def start(task=Rate, items=DIARIES, double=0.0, seed=0):
        while opened:
            opened.pop().close()
        opened.append(Answers(tmp_path / "answers.jsonl", task.fault))
        return task(items, opened[-1], double, seed)

    yield start
    opened.pop().close()


def rate_all(desk, rater, rating=lambda place: 0.5, most=1000):
    """Rates what comes, as far as it comes; the places, in order."""
    seen = []
    while len(seen) < most and (item := desk.state(rater)["item"]):
        desk.answer(rater, item["place"], rating(item["place"]))
        seen.append(item["place"])
    return seen


def told(desk, rater):
    state = desk.state(rater)
    return state["answered"], state["left"], state["skipped"]


def test_a_rating_is_a_row_that_stands_alone(desk):
    first = desk()
    first.answer("김", 3, -0.5)
    [row] = first.answers.rows
    assert row.pop("rated_at").endswith("+00:00")
    assert row == {
        "context_id": "c3",
        "image_id": "p3",
        "rater_id": "김",
        "diary_id": "d3",
        "rating": -0.5,
        "text": "글 3",
    }


def test_what_an_evaluation_asks_is_rated_on_the_page_too(desk, tmp_path):
    asked = [
        {"diary_id": f"d{n}", "rater_id": "kim", "place": "해운대", "text": text, "rating": ""}
        for n, text in enumerate(["=1+1", "바다"])
    ]
    write_sheets(asked, tmp_path / "to_rate")
    page = desk(items=read(tmp_path / "to_rate/kim.csv"))
    rate_all(page, "kim", lambda place: (-1.0, 0.5)[place])
    answered = page.answers.path.rename(tmp_path / "to_rate/kim.jsonl")  # beside the sheet, which stays empty
    assert read_sheets(str(answered.parent), {"d0", "d1"}) == {("d0", "kim"): -1.0, ("d1", "kim"): 0.5}


def test_one_rater_sees_every_diary_once(desk):
    only = desk(double=0.5)
    assert sorted(rate_all(only, "kim")) == list(range(24))
    assert told(only, "kim") == (24, 0, 0)


def test_several_raters_share_the_diaries_and_two_see_those_rated_twice(desk):
    both = desk(double=0.25)
    assert both.state("kim")["item"]["place"] != both.state("lee")["item"]["place"]
    kim = rate_all(both, "kim", most=15)
    lee = rate_all(both, "lee")
    kim += rate_all(both, "kim")
    assert set(kim) | set(lee) == set(range(24)) and len(set(kim) & set(lee)) == 6
    assert told(both, "park") == (0, 0, 0)


def test_what_waits_for_its_second_rating_comes_first(desk):
    both = desk(double=0.25)
    mine = rate_all(both, "kim", most=12)
    twice = [place for place in mine if both.wanted[place] == 2]
    assert twice and sorted(rate_all(both, "lee", most=len(twice))) == sorted(twice)


def test_what_is_open_before_one_rater_comes_last_for_another(desk):
    both = desk()
    open_ = both.state("kim")["item"]["place"]
    assert rate_all(both, "lee")[-1] == open_


def test_the_same_item_stays_until_it_is_answered(desk):
    first = desk()
    place = first.state("kim")["item"]["place"]
    assert first.state("kim")["item"]["place"] == place
    assert desk().state("kim")["item"]["place"] == place  # a server that was started again shows the same order


def test_what_is_skipped_comes_again_when_asked_for(desk):
    first = desk(items=DIARIES[:3])
    place = first.state("kim")["item"]["place"]
    first.skip("kim", place)
    assert len(rate_all(first, "kim")) == 2 and told(first, "kim") == (2, 0, 1)
    first.again("kim")
    assert first.state("kim")["item"]["place"] == place and told(first, "kim") == (2, 1, 0)


def test_undo_goes_back_step_by_step_across_a_restart(desk):
    first = desk()
    seen = rate_all(first, "kim", most=3)
    first.answer("lee", 20, 1.0)
    again = desk()
    for place in reversed(seen):
        again.undo("kim")
        assert again.state("kim")["item"]["place"] == place
    assert [row["rater_id"] for row in again.answers.rows] == ["lee"]
    with pytest.raises(Refused, match="no_step"):
        again.undo("kim")
    skipped = again.state("kim")["item"]["place"]
    again.skip("kim", skipped)
    again.undo("kim")
    assert again.state("kim")["item"]["place"] == skipped and told(again, "kim")[2] == 0


def test_an_answer_told_twice_counts_once_and_another_is_refused(desk):
    first = desk()
    first.answer("kim", 0, 0.5)
    first.answer("kim", 0, 0.5)
    for refused in (lambda: first.answer("kim", 0, 1.0), lambda: first.skip("kim", 0)):
        with pytest.raises(Refused, match="no_longer"):
            refused()
    assert len(first.answers.rows) == 1


@pytest.mark.parametrize("rater, place, value, why", [
    ("kim", 0, 0.7, "no_answer"), ("kim", 0, True, "no_answer"), ("kim", 0, "1", "no_answer"), ("kim", 0, None, "no_answer"),
    ("kim", 24, 1, "no_item"), ("kim", -1, 1, "no_item"), ("kim", True, 1, "no_item"), ("kim", "0", 1, "no_item"), ("../x", 0, 1, "no_name"),
])  # fmt: skip
def test_what_is_no_answer_is_refused(desk, rater, place, value, why):
    first = desk()
    with pytest.raises(Refused, match=why):
        first.answer(rater, place, value)
    assert first.answers.rows == []


def test_answers_about_other_diaries_stay_in_the_file(desk):
    desk().answer("kim", 0, 1)
    later = desk(items=DIARIES[1:])
    assert told(later, "kim") == (0, 23, 0) and not later.state("kim")["undo"]
    later.answer("kim", 0, 0)
    assert [row["diary_id"] for row in desk().answers.rows] == ["d0", "d1"]


def test_an_id_that_comes_again_with_another_text_is_asked_again(desk):
    desk().answer("kim", 0, 1)
    spaced = Item("d0", ("  글 0\n",), DIARIES[0].keys, {})
    assert told(desk(items=[spaced, *DIARIES[1:]]), "kim") == (1, 23, 0)
    other = desk(items=[Item("d0", ("새 글",), DIARIES[0].keys, {}), *DIARIES[1:]])
    assert told(other, "kim") == (0, 24, 0) and not other.state("kim")["undo"]
    other.answer("kim", 0, -1)
    assert [(row["text"], row["rating"]) for row in other.answers.rows] == [("글 0", 1.0), ("새 글", -1.0)]
    assert told(desk(), "kim") == (1, 23, 0)


def test_a_context_with_other_outputs_is_ranked_again(desk):
    desk(Rank, LISTS).answer("kim", 1, [[2], [3, 0], [1]])
    turned = [LISTS[0], Item("c1", LISTS[1].texts[::-1], LISTS[1].keys, {}), LISTS[2]]
    assert told(desk(Rank, turned), "kim") == (1, 2, 0)
    more = [LISTS[0], Item("c1", (*LISTS[1].texts[1:], "새 글"), LISTS[1].keys, {}), LISTS[2]]
    assert told(desk(Rank, more), "kim") == (0, 3, 0)


def test_agreement_is_krippendorffs_alpha_from_enough_shared_diaries(desk):
    both, rng = desk(double=1.0), np.random.default_rng(0)
    ratings = rng.choice([-1, -0.5, 0, 0.5, 1], size=(2, ENOUGH))
    ratings[1, ::2] = ratings[0, ::2]
    for place in range(ENOUGH):
        assert both.agreement() == {"shared": place, "needed": ENOUGH - place}
        for rater, level in zip(("kim", "lee"), ratings[:, place], strict=True):
            both.answer(rater, place, float(level))
    found = both.state("kim")["agreement"]
    assert found["alpha"] == pytest.approx(krippendorff.alpha(ratings, level_of_measurement="ordinal"))
    assert found["interval"][0] < found["alpha"] < found["interval"][1] and json.dumps(found)


def test_where_all_ratings_are_equal_alpha_is_not_told(desk):
    both = desk(double=1.0)
    for place in range(ENOUGH):
        both.answer("kim", place, 1)
        both.answer("lee", place, 1)
    assert both.agreement() == {"shared": ENOUGH, "needed": 0, "alpha": None, "interval": None}


def test_a_ranked_list_is_a_line_of_texts_best_first(desk):
    first = desk(Rank, LISTS)
    first.answer("kim", 1, [[2], [3, 0], [1]])
    [row] = desk(Rank, LISTS).answers.rows
    assert row.pop("rated_at")
    assert row == {"context_id": "c1", "rater_id": "kim", "ranked": ["글 1-2", ["글 1-0", "글 1-3"], "글 1-1"]}


def test_outputs_are_shuffled_for_each_rater_and_named_by_their_place(desk):
    lists = desk(Rank, LISTS)
    orders = {rater: lists.texts(LISTS[0], rater) for rater in "abcdefgh"}
    assert all(sorted(order) == list(enumerate(LISTS[0].texts)) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) > 4


@pytest.mark.parametrize("value, why", [
    ([[0, 1, 2, 3]], "no_order"), ([[0], [1], [2]], "no_answer"), ([[0], [1], [2], [3], [3]], "no_answer"),
    ([[0], [1], [2], [4]], "no_answer"), ([[0], [], [1, 2, 3]], "no_answer"), ([0, 1, 2, 3], "no_answer"), (1.0, "no_answer"),
    ([["0"], [1], [2], [3]], "no_answer"), ([[False], [1], [2], [3]], "no_answer"),
])  # fmt: skip
def test_what_is_no_order_is_refused(desk, value, why):
    with pytest.raises(Refused, match=why):
        desk(Rank, LISTS).answer("kim", 0, value)

"""The app's log of showings and reactions, and the allocation it draws from."""

import json
from collections import Counter

import pytest

from memozy.feedback import Allocation, draw, outcomes, read_allocation, read_events, read_log
from memozy.records import InputError, write_jsonl

DRAFT = "오늘 바다에 갔다. 파도가 잔잔했다."


def shown(event_id, **other):
    return {"event_id": event_id, "shown_id": event_id, "kind": "shown", "prompt_id": "A", "propensity": 0.5,
            "segment": "young", "draft": DRAFT} | other  # fmt: skip


def reaction(event_id, shown_id, kind, **other):
    return {"event_id": event_id, "shown_id": shown_id, "kind": kind} | other


@pytest.fixture
def logged(tmp_path):
    def write(*events):
        write_jsonl(events, tmp_path / "events.jsonl")
        return tmp_path / "events.jsonl"

    return write


def test_a_showing_is_worth_its_last_reaction(logged):
    path = logged(
        shown("1"), reaction("a", "1", "like"),
        shown("2", segment=None, propensity=0.25), reaction("b", "2", "like"), reaction("c", "2", "regenerate"),
        shown("3", prompt_id="B"),
        reaction("d", "4", "dislike"), shown("4"),  # told before its showing
        shown("5"), reaction("e", "5", "edit", final=DRAFT + " 정말 좋았다."),
        shown("6", draft=None), reaction("f", "6", "edit", draft=DRAFT, final="회사에서 야근을 했다."),
    )  # fmt: skip
    found = outcomes(read_events(path))
    assert found["shown_id"].to_list() == ["1", "2", "3", "4", "5", "6"]
    assert found["value"].to_list() == [1, -0.5, 0, -1, 1, -0.5]
    assert found["kind"].to_list() == ["like", "regenerate", "shown", "dislike", "edit", "edit"]
    assert found.row(1) == ("2", "A", None, 0.25, -0.5, "regenerate")


@pytest.mark.parametrize(
    ("like", "dislike", "value"),
    [
        ("2025-03-01T10:00:00Z", "2025-03-01T09:00:00Z", 1),
        ("2025-03-01T10:00:00+09:00", "2025-03-01T09:00:00Z", -1),  # 01:00 in UTC
        ("2025-03-01T10:00:00", "2025-03-01T18:30:00+09:00", 1),  # none named is UTC, and the other is 09:30
        ("2025-03-01T09:00:00Z", "2025-03-01T09:00:00Z", -1),
        ("2025-03-01T10:00:00Z", None, -1),
        (None, None, -1),
    ],
)
def test_the_last_reaction_is_the_latest_where_all_say_when_they_were(logged, like, dislike, value):
    path = logged(
        shown("1"), shown("2", at="2025-03-02"), reaction("a", "1", "like", at=like), reaction("b", "2", "like"),
        reaction("c", "1", "dislike", at=dislike), reaction("d", "2", "regenerate"),
    )  # fmt: skip
    assert outcomes(read_events(path))["value"].to_list() == [value, -0.5]


def test_what_is_told_twice_counts_once(logged):
    once = (shown("1"), reaction("a", "1", "like"))
    twice = (*once, reaction("b", "1", "dislike"), once[1], once[0])  # the like's repeat is not the last reaction
    assert read_events(logged(*twice)).height == 3
    assert outcomes(read_events(logged(*twice)))["value"].to_list() == [-1]


def test_a_log_may_be_parquet(logged, tmp_path):
    path = logged(shown("2"), reaction("b", "1", "like", at="2025-03-01T10:00:00+09:00"), shown("1"))
    read_log(path).write_parquet(tmp_path / "events")  # whatever its name
    assert read_events(tmp_path / "events").equals(read_events(path))
    assert read_events(path)["event_id"].to_list() == ["2", "b", "1"]


@pytest.mark.parametrize(
    ("events", "row", "field"),
    [
        ((shown("1"), reaction("a", "1", "like"), reaction("a", "1", "dislike")), 3, "event_id"),
        ((shown("1"), shown("1"), reaction("a", "2", "like")), 3, "shown_id"),
        ((shown("1"), shown("2", shown_id="1")), 2, "shown_id"),
        ((shown("1"), shown("2", prompt_id=None)), 2, "prompt_id"),
        ((shown("1"), shown("2", propensity=None)), 2, "propensity"),
        ((shown("1"), shown("2", propensity=0)), 2, "propensity"),
        ((shown("1"), shown("2", propensity=1.5)), 2, "propensity"),
        ((shown("1"), reaction("a", "1", "love")), 2, "kind"),
        ((shown("1"), reaction("a", "1", "edit")), 2, "final"),
        ((shown("1", draft=None), reaction("a", "1", "edit", final="끝")), 2, "draft"),
        ((shown("1"), reaction("a", "1", "like", at="gestern")), 2, "at"),
        ((shown("1", at=""),), 1, "at"),
    ],
)
def test_a_bad_log_is_refused_by_row_and_field(logged, events, row, field):
    with pytest.raises(InputError, match=rf"events\.jsonl, row {row}, field '{field}'.*\. \w"):
        read_events(logged(*events))


ALLOCATION = Allocation(
    salt="s", prompts={"A": "a", "B": "b", "C": "c"}, everyone={"A": 0.9, "B": 0.05, "C": 0.05},
    segments={"young": {"A": 0.2, "B": 0.5, "C": 0.3}},
)  # fmt: skip


@pytest.mark.parametrize(("segment", "chances"), [("young", (0.2, 0.5, 0.3)), (None, (0.9, 0.05, 0.05)),
                                                  ("unheard of", (0.9, 0.05, 0.05))])  # fmt: skip
def test_prompts_are_drawn_as_often_as_their_propensity_says(segment, chances):
    from scipy.stats import chisquare

    drawn = [draw(ALLOCATION, segment, f"showing {i}") for i in range(20_000)]
    counts = Counter(drawn)
    assert set(counts) == set(zip("ABC", chances, strict=True))
    assert (
        chisquare([counts[p, c] for p, c in zip("ABC", chances, strict=True)], [20_000 * c for c in chances]).pvalue
        > 1e-3
    )


def test_a_draw_is_stable_until_the_allocation_changes():
    again = ALLOCATION.model_copy(update={"salt": "t"})
    first = [draw(ALLOCATION, "young", f"{i}") for i in range(200)]
    assert first == [draw(ALLOCATION, "young", f"{i}") for i in range(200)]
    assert first != [draw(again, "young", f"{i}") for i in range(200)]
    # by hand: sha256("s\0user") begins 5c32, so the point is 0.36: beyond A's 0.2, within B's 0.5
    assert draw(ALLOCATION, "young", "user") == ("B", 0.5)


def test_an_allocation_is_read_back_and_a_broken_one_refused(tmp_path):
    path = tmp_path / "allocation.json"
    path.write_text(ALLOCATION.model_dump_json())
    assert read_allocation(path) == ALLOCATION
    for change in (
        {"everyone": {"A": 0.9}},
        {"everyone": {"A": 1.0, "B": 0.0}},
        {"segments": {"young": {"D": 1.0}}},
        {"more": 1},
    ):
        path.write_text(json.dumps(ALLOCATION.model_dump() | change))
        with pytest.raises(InputError, match="allocation.json"):
            read_allocation(path)
    with pytest.raises(InputError, match="no such file"):
        read_allocation(tmp_path / "nothing.json")

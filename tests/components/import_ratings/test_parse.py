import math

import pytest

from components.import_ratings.parse import parse
from memozy.records import SIMULATED


def row(diary="d1", rating="1", rater="r1", **more):
    return {"diary_id": diary, "rater_id": rater, "rating": rating, **more}


def levels(parsed):
    return {(r["diary_id"], r["rater_id"]): r["rating"] for r in parsed.ratings}


@pytest.mark.parametrize(("given", "level"), [("0.5", 0.5), (" -1 ", -1.0), (1, 1.0), ("-0.0", 0.0), ("5e-1", 0.5)])
def test_a_level_is_read_as_text_or_number(given, level):
    parsed = parse([row(rating=given)], "a.csv", {"d1"})
    assert parsed.ratings == [
        {"diary_id": "d1", "rater_id": "r1", "rating": level, "source": "a.csv", "rated_at": None}
    ]
    assert math.copysign(1, parsed.ratings[0]["rating"]) == (-1 if level < 0 else 1)


@pytest.mark.parametrize(
    ("bad", "field", "value"),
    [
        (row(rating=0.7), "rating", "0.7"),
        (row(rating=math.nan), "rating", "nan"),
        (row(rating="NaN"), "rating", "NaN"),
        (row(rating="0,5"), "rating", "0,5"),
        (row(rating=None), "rating", "None"),
        (row(rating=True), "rating", "True"),
        (row(rating=[1]), "rating", "[1]"),
        (row(diary="d9"), "diary_id", "d9"),
        (row(diary=" "), "diary_id", " "),
        (row(diary=None), "diary_id", "None"),
        (row(rater=1.5), "rater_id", "1.5"),
    ],
)
def test_a_bad_value_is_set_aside_with_its_place(bad, field, value):
    parsed = parse([row(), bad], "a.csv", {"d1"})
    assert levels(parsed) == {("d1", "r1"): 1.0}
    [aside] = parsed.quarantine
    assert (aside["row"], aside["field"], aside["value"]) == (2, field, value)
    assert aside["reason"]


def test_a_row_that_says_nothing_new_is_counted_once():
    parsed = parse([row(), row(rating="1.0"), row(rater="r2", rating="0"), row()], "a.csv", {"d1"})
    assert levels(parsed) == {("d1", "r1"): 1.0, ("d1", "r2"): 0.0}
    assert (parsed.repeated, parsed.quarantine) == (2, [])


def test_of_a_rater_who_contradicts_themselves_nothing_is_believed():
    parsed = parse([row(rating="1"), row(rating="bad"), row(rating="-1"), row(rater="r2")], "a.csv", {"d1"})
    assert levels(parsed) == {("d1", "r2"): 1.0}
    assert [(q["row"], q["value"]) for q in parsed.quarantine] == [(1, "1.0"), (2, "bad"), (3, "-1.0")]
    assert "1 in row 1 and -1 in row 3" in parsed.quarantine[0]["reason"]


def test_a_file_with_texts_brings_its_own_diaries():
    rows = [
        row("d1", text="좋았다", context_id="p1"),
        row("d1", rater="r2", text="좋았다", context_id="p1"),
        row("d2", text="싫었다", rated_at="2024-05-01"),
        row("d3", text=""),
        row("d4", text=True),
        row("d5", rating="7", text="그냥"),
    ]
    parsed = parse(rows, "a.jsonl", known=set())
    assert parsed.texts == {
        "d1": ({"context_id": "p1", "image_id": None}, "좋았다", None),
        "d2": ({"context_id": "d2", "image_id": None}, "싫었다", "2024-05-01"),
    }
    assert [(q["row"], q["field"]) for q in parsed.quarantine] == [(4, "text"), (5, "text"), (6, "rating")]


def test_a_photo_is_kept_beside_the_context():
    rows = [row("d1", text="좋았다", context_id="c1", image_id="p"), row("d2", text="싫었다", context_id="c2", image_id=""),
            row("d3", text="그냥", image_id=0.5)]  # fmt: skip
    parsed = parse(rows, "a.csv", set())
    assert [about for about, _, _ in parsed.texts.values()] == [
        {"context_id": "c1", "image_id": "p"}, {"context_id": "c2", "image_id": None},
    ]  # fmt: skip
    assert [(q["row"], q["field"]) for q in parsed.quarantine] == [(3, "image_id")]


def test_a_diary_has_one_text_one_context_and_one_photo():
    rows = [
        row(text="좋았다", context_id="p1"),
        row(rater="r2", text="싫었다", context_id="p1"),
        row(rater="r3", text="좋았다", context_id="p2"),
        row(rater="r4", text="좋았다", context_id="p1", image_id="i"),
    ]
    parsed = parse(rows, "a.csv", set())
    assert [(q["row"], q["field"]) for q in parsed.quarantine] == [(2, "text"), (3, "context_id"), (4, "image_id")]


def test_simulated_ratings_stay_marked():
    parsed = parse([row(source=SIMULATED), row(rater="r2", source="x")], "a.csv", {"d1"})
    assert [r["source"] for r in parsed.ratings] == [SIMULATED, "a.csv"]

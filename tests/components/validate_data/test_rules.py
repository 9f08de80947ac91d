import unicodedata

import polars as pl
import pytest

from components.validate_data.rules import Limits, check, hangul_share

LIMITS = Limits(min_diaries=3, min_chars=2, max_chars=30, min_hangul=0.5, mostly=0.75)


def tables():
    ids = ["d1", "d2", "d3", "d4"]
    diaries = pl.DataFrame({
        "diary_id": ids, "context_id": ["c"] * 4, "prompt_id": ["p"] * 4, "generator": ["g"] * 4,
        "text": ["오늘 좋았다", "바다에 갔다", "커피를 마셨다", "산책"], "cost_usd": [0.0] * 4, "created_at": ["x"] * 4,
    })  # fmt: skip
    ratings = pl.DataFrame({
        "diary_id": ids, "rater_id": ["a"] * 4, "rating": [0.5, 1.0, -1.0, 0.5], "source": ["f"] * 4,
    })  # fmt: skip
    return ratings, diaries


def setting(frame, column, row, value):
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, strict=False))


def failed(ratings, diaries):
    return [(o.table, o.rule, o.broken, o.rows) for o in check(ratings, diaries, LIMITS) if not o.passed]


def test_good_data_keeps_every_rule():
    outcomes = check(*tables(), LIMITS)
    assert all(o.passed and o.broken == 0 and o.rows == () for o in outcomes)
    assert {o.rule for o in outcomes} >= {
        "rating is one of -1, -0.5, 0, 0.5, 1", "one rating a diary and rater", "text has 2 to 30 characters",
        "at least 3 diaries", "at least 2 different ratings", "every rating has its diary", "every diary has a rating",
        "at least 50% of a text's letters are Hangul, in 75% of the diaries", "has the column 'rating'",
    }  # fmt: skip
    assert {o.checked for o in outcomes} == {4}


@pytest.mark.parametrize(
    ("column", "row", "value", "expected"),
    [
        ("rating", 2, 0.7, [("ratings", "rating is one of -1, -0.5, 0, 0.5, 1", 1, (2,))]),
        ("rating", 1, None, [("ratings", "rating is there", 1, (1,))]),
        ("rating", 1, float("nan"), [("ratings", "rating is there", 1, (1,))]),
        ("diary_id", 3, "d1", [
            ("diaries", "every diary has a rating", 1, (3,)), ("ratings", "one rating a diary and rater", 2, (0, 3)),
        ]),
        ("diary_id", 3, "d9", [
            ("diaries", "every diary has a rating", 1, (3,)), ("ratings", "every rating has its diary", 1, (3,)),
        ]),
    ],
)  # fmt: skip
def test_a_broken_rating_breaks_its_rule(column, row, value, expected):
    ratings, diaries = tables()
    assert failed(setting(ratings, column, row, value), diaries) == expected


@pytest.mark.parametrize(
    ("row", "text", "expected"),
    [
        (1, None, [("diaries", "text is there", 1, (1,))]),
        (2, "   ", [("diaries", "text is more than white space", 1, (2,))]),
        (2, "글", [("diaries", "text has 2 to 30 characters", 1, (2,))]),
        (0, "글" * 31, [("diaries", "text has 2 to 30 characters", 1, (0,))]),
        (0, "a good day", []),  # one of four: 75 % still are Korean
    ],
)
def test_a_broken_text_breaks_its_rule(row, text, expected):
    ratings, diaries = tables()
    assert failed(ratings, setting(diaries, "text", row, text)) == expected


def test_an_exception_within_the_allowance_is_counted():
    ratings, diaries = tables()
    [korean] = [o for o in check(ratings, setting(diaries, "text", 3, "<b>!</b>"), LIMITS) if "Hangul" in o.rule]
    assert (korean.passed, korean.checked, korean.broken, korean.rows) == (True, 4, 1, (3,))
    two = setting(setting(diaries, "text", 3, "hi there"), "text", 1, "hello")
    assert failed(ratings, two)[0][2:] == (2, (1, 3))


def test_too_few_diaries_and_one_level_break_rules_of_the_whole():
    ratings, diaries = tables()
    few = failed(ratings.head(2), diaries.head(2))
    assert few == [("diaries", "at least 3 diaries", 1, ())]
    assert failed(ratings.with_columns(rating=pl.lit(0.5)), diaries) == [
        ("ratings", "at least 2 different ratings", 1, ())
    ]


def test_a_missing_column_is_the_first_thing_said():
    ratings, diaries = tables()
    assert failed(ratings.drop("rating"), diaries.drop("text")) == [
        ("diaries", "has the column 'text'", 1, ()), ("ratings", "has the column 'rating'", 1, ()),
    ]  # fmt: skip


def test_hangul_is_a_share_of_the_letters():
    texts = ["좋은 day!", "123 !?", "", unicodedata.normalize("NFD", "한글")]
    assert hangul_share(pl.Series(texts)).to_list() == [pytest.approx(2 / 5), 0.0, 0.0, 1.0]

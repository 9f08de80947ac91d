"""The rules, one broken at a time, on tables small enough to count by eye."""

import unicodedata
from pathlib import Path

import polars as pl
import pytest

from components.validate_data.config import Config
from components.validate_data.findings import look_at
from components.validate_data.measures import LOOKED_AT, copied, hangul_share
from memozy import records
from tests.components.validate_data.tables import diaries_of, ratings_of, setting, surrogates_of

CONFIG = Config(min_diaries=3, min_chars=2, max_chars=30, min_hangul=0.5, mostly=0.75)


@pytest.fixture(scope="module")
def given():
    texts = ["오늘 좋았다", "바다에 갔다", "커피를 마셨다", "산책"]
    return {"diaries": diaries_of(texts), "ratings": ratings_of([0.5, 1.0, -1.0, 0.5]),
            "surrogates": surrogates_of([]), "surrogate diaries": diaries_of([])}  # fmt: skip


def look(given, previous=None, **settings):
    return look_at(given, {name: Path(name) for name in given}, CONFIG.model_copy(update=settings), previous)


def failed(given, previous=None, **settings):
    return [(o.table, o.rule.words, o.broken, o.rows) for o in look(given, previous, **settings).failed]


def test_good_data_keeps_every_rule(given):
    found = look(given)
    assert not found.failed and all(o.broken == 0 and o.rows == () for o in found.outcomes)
    assert {o.rule.words for o in found.outcomes} >= {
        "rating is one of -1, -0.5, 0, 0.5, 1", "one rating a diary and rater", "text has 2 to 30 characters",
        "at least 3 diaries", "at least 2 different ratings", "every rating has its diary", "every diary has a rating",
        "at least 50% of a text's letters are Hangul, in 75% of the diaries", "every column is there", "rater_id is there",
        "no text holds personal data", "at most 50% of the texts are another diary's, or nearly",
        "no rater answers at random, or is named",
    }  # fmt: skip
    assert {o.checked for o in found.outcomes if o.table in ("diaries", "ratings")} == {4}


@pytest.mark.parametrize(
    ("column", "row", "value", "expected"),
    [
        ("rating", 2, 0.7, [("ratings", "rating is one of -1, -0.5, 0, 0.5, 1", 1, (2,))]),
        ("rating", 1, float("nan"), [("ratings", "rating is there", 1, (1,))]),
        ("rater_id", 1, None, [("ratings", "rater_id is there", 1, (1,))]),
        ("diary_id", 3, "d0", [
            ("diaries", "every diary has a rating", 1, (3,)), ("ratings", "one rating a diary and rater", 2, (0, 3)),
        ]),
        ("diary_id", 3, "d9", [
            ("diaries", "every diary has a rating", 1, (3,)), ("ratings", "every rating has its diary", 1, (3,)),
        ]),
    ],
)  # fmt: skip
def test_a_broken_rating_breaks_its_rule(given, column, row, value, expected):
    assert failed(given | {"ratings": setting(given["ratings"], column, row, value)}) == expected


@pytest.mark.parametrize(
    ("row", "text", "expected"),
    [
        (1, None, [("diaries", "text is there", 1, (1,))]),
        (2, "   ", [("diaries", "text is more than white space", 1, (2,))]),
        (0, "글" * 31, [("diaries", "text has 2 to 30 characters", 1, (0,))]),
        (0, "a good day", []),  # one of four: 75 % still are Korean
        (3, "010-1234-5678 나야", [("diaries", "no text holds personal data", 1, (3,))]),
    ],
)
def test_a_broken_text_breaks_its_rule(given, row, text, expected):
    assert failed(given | {"diaries": setting(given["diaries"], "text", row, text)}) == expected


def test_exceptions_within_the_allowance_are_counted(given):
    one = setting(given["diaries"], "text", 3, "<b>!</b>")
    [korean] = [o for o in look(given | {"diaries": one}).outcomes if "Hangul" in o.rule.words and o.table == "diaries"]
    assert (korean.passed, korean.checked, korean.broken, korean.rows) == (True, 4, 1, (3,))
    assert failed(given | {"diaries": setting(one, "text", 1, "hello")})[0][2:] == (2, (1, 3))


def test_the_whole_may_be_too_small_or_too_much_alike(given):
    few = given | {"ratings": given["ratings"].head(2), "diaries": given["diaries"].head(2)}
    assert failed(few) == [("diaries", "at least 3 diaries", 1, ())]
    alike = given | {"ratings": given["ratings"].with_columns(rating=pl.lit(0.5))}
    assert failed(alike) == [("ratings", "at least 2 different ratings", 1, ())]
    assert failed(given, min_per_class=1) == [("classes", "at least 1 ratings at every level", 2, (1, 2))]
    assert failed(
        given | {"diaries": given["diaries"].with_columns(text=pl.lit("오늘, 좋았다!"))}, max_near_duplicates=0.9
    ) == [("diaries", f"at most 90% of the texts are another diary's{more}", 4, (0, 1, 2, 3)) for more in ("", ", or nearly")]


def test_a_missing_column_is_the_first_thing_said(given):
    broken = given | {"ratings": given["ratings"].drop("rating"), "diaries": given["diaries"].drop("text")}
    found = look(broken)
    assert failed(broken) == [("columns", "every column is there", 2, (4, 9))]
    assert [found.tables["columns"].name_of(row) for row in (4, 9)] == ["diaries+text", "ratings+rating"]


@pytest.mark.parametrize(
    ("column", "row", "value", "expected"),
    [
        ("rating", 1, 1.5, [("surrogates", "rating is from -1 to 1", 1, (1,))]),
        ("signal", 0, "love", [("surrogates", "signal is one of like, dislike, regenerate, edit", 1, (0,))]),
        ("diary_id", 1, "s9", [
            ("surrogate diaries", "every diary has a surrogate", 1, (1,)), ("surrogates", "every surrogate has its diary", 1, (1,)),
        ]),
    ],
)  # fmt: skip
def test_surrogates_and_their_texts_have_rules_of_their_own(given, column, row, value, expected):
    told = given | {
        "surrogates": surrogates_of([0.3, -0.5]),
        "surrogate diaries": diaries_of(["강가에 갔다", "비가 왔다"], "s"),
    }
    assert failed(told | {"surrogates": setting(told["surrogates"], column, row, value)}) == expected


def test_drift_is_of_what_is_new_and_of_nothing_else():
    """600 old diaries; 100 new ones that are rated otherwise, or written otherwise, or alike."""
    old = {
        "diaries": diaries_of(["오늘은 산책을 했다", "바다에 갔다 왔다"] * 300),
        "ratings": ratings_of([0.5, -0.5] * 300),
    }

    def grown(texts, ratings):
        return {"diaries": pl.concat([old["diaries"], diaries_of(texts, "n")]), "surrogates": surrogates_of([]),
                "ratings": pl.concat([old["ratings"], ratings_of(ratings, "n")]), "surrogate diaries": diaries_of([])}  # fmt: skip

    alike, levels = ["바다에 갔다 왔다", "오늘은 산책을 했다"] * 50, [0.5, -0.5] * 50
    settings = {"max_near_duplicates": 1.0, "mostly": 0.0}
    rule = "what is new differs from the last version by at most 0.2 bits"
    assert failed(grown(alike, levels), old, **settings) == []
    assert failed(grown(alike, [1.0] * 100), old, **settings) == [("drift", rule, 1, (0,))]
    assert failed(grown(["ㅋㅋㅋ lol ㅋㅋ", "ㅋㅋ lol ㅋㅋ"] * 50, levels), old, **settings) == [
        ("drift", rule, 1, (2,))
    ]
    panel = grown(alike, levels)
    many = [ratings_of([1.0], "n", rater=f"r{i:03d}") for i in range(200)]  # of one diary are one judgement
    assert failed(panel | {"ratings": pl.concat([panel["ratings"], *many])}, old, **settings) == []
    assert look(grown([], []), old, **settings).drifts == ()


def test_equal_texts_are_found_among_all_and_near_ones_among_those_drawn():
    texts = pl.Series(["오늘은 바다에 가서 사진을 찍고 국수를 먹었다", None, "오늘은 바다에 가서 사진을 찍고 국수를 먹었지",
                       "집에서 쉬었다", "집에서... 쉬었다!"])  # fmt: skip
    flags, pairs = copied(texts, 0.85)
    assert sorted(pairs) == [(0, 2), (3, 4)]
    assert flags["copied"].to_list() == [1, None, 1, 1, 1]
    assert flags["equal"].to_list() == [0, None, 0, 1, 1]
    assert copied(texts, 1.0)[1] == [(3, 4)]
    n = 6 * LOOKED_AT  # of which the first third are texts that stand there twice: a drawn one's copy is mostly not drawn
    flags, pairs = copied(pl.Series([f"{i % (n // 6) if i < n // 3 else i}번째 날" for i in range(n)]), 1.0)
    assert flags["copied"].null_count() == n - LOOKED_AT and len(pairs) == n // 6
    assert flags["equal"].mean() == pytest.approx(1 / 3)
    assert flags["copied"].mean() == pytest.approx(1 / 3, abs=0.02)  # three standard errors


def test_hangul_is_a_share_of_the_letters():
    texts = ["좋은 day!", "123 !?", "", unicodedata.normalize("NFD", "한글"), None]
    assert hangul_share(pl.Series(texts)).to_list() == [pytest.approx(2 / 5), 0.0, 0.0, 1.0, None]


def test_columns_of_another_type_are_read_as_their_own(given):
    texts = given["ratings"].with_columns(
        pl.col("rating").cast(pl.String), pl.col("rater_id").replace("a", "7").cast(pl.Int64)
    )
    assert failed(given | {"ratings": texts}) == []
    assert failed(given | {"ratings": setting(texts, "rating", 2, "good")}) == [("ratings", "rating is there", 1, (2,))]
    assert set(records.RATINGS.fields) <= {*given["ratings"].columns, "rated_at"}

import json
import math

import polars as pl
import pytest

from memozy import rating_files
from memozy.records import DIARIES, RATINGS, SIMULATED, InputError, check

KNOWN = {"d1": "좋았다", "d2": "그냥"}


def row(diary="d1", rating="1", rater="r1", **more):
    return {"diary_id": diary, "rater_id": rater, "rating": rating, **more}


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def read(path, *rows, known=KNOWN, **how):
    """What is found in a file of these rows; the records are valid and every row is accounted for."""
    found = rating_files.read(jsonl(path / "a.jsonl", *rows) if rows else path, known, **how)
    assert check(found.ratings, RATINGS, "").equals(found.ratings)
    assert check(found.diaries, DIARIES, "").equals(found.diaries)
    assert found.ratings.height + found.n_repeated + found.quarantine.height == found.n_rows
    return found


def levels(found):
    return {(d, r): rating for d, r, rating in found.ratings.select("diary_id", "rater_id", "rating").iter_rows()}


def aside(found, *columns):
    return found.quarantine.select(columns or ("row", "field", "value")).rows()


@pytest.mark.parametrize(
    ("given", "level"), [("0.5", 0.5), (" -1 ", -1.0), (1, 1.0), ("-0.0", 0.0), ("5e-1", 0.5), ("+1", 1.0)]
)
def test_a_level_is_read_as_text_or_number(tmp_path, given, level):
    found = read(tmp_path, row(rating=given))
    assert found.ratings.rows() == [("d1", "r1", level, "a.jsonl", None)]
    assert math.copysign(1, found.ratings["rating"][0]) == (-1 if level < 0 else 1)


@pytest.mark.parametrize(
    ("bad", "field", "value", "reason"),
    [
        (row(rating=0.7), "rating", "0.7", "is not one of -1, -0.5, 0, 0.5, 1"),
        (row(rating=math.nan), "rating", None, "was not rated"),
        (row(rating="NaN"), "rating", "NaN", "is not one of"),
        (row(rating=math.inf), "rating", "inf", "is not one of"),
        (row(rating="0,5"), "rating", "0,5", "is not a number: write a point, not a comma"),
        (row(rating="０.５"), "rating", "０.５", "is not a number: write half-width digits"),
        (row(rating="좋다"), "rating", "좋다", "is not a number"),
        (row(rating=None), "rating", None, "was not rated"),
        (row(rating=True), "rating", "True", "is neither text nor a number"),
        (row(rating=[1]), "rating", "[1]", "is neither text nor a number"),
        (row(diary="d9"), "diary_id", "d9", "no such diary"),
        (row(diary=" "), "diary_id", None, "is empty"),
        (row(diary=None), "diary_id", None, "is empty"),
        (row(diary={"id": 1}), "diary_id", "{'id': 1}", "is neither text nor a number"),
        (row(diary="../../etc/passwd"), "diary_id", "../../etc/passwd", "is a path, and leads out of its folder"),
        (row(rater="C:\\r"), "rater_id", "C:\\r", "is a path, and leads out of its folder"),
        (row(rater="a\0b"), "rater_id", "a\0b", "holds a control character"),
        (row(rater="a" * 201), "rater_id", "a" * 79 + "…", "has more than 200 characters"),
        *((row(rated_at=time), "rated_at", time, "is no time of ISO 8601") for time in (
            "x" * 65, "어제", "2024. 5. 1.", "2024-13-01", "2024-05-01T25:00", "20240501", "2024-05-01\n2024-05-02")),
    ],
)  # fmt: skip
def test_a_bad_value_is_set_aside_with_its_place(tmp_path, bad, field, value, reason):
    found = read(tmp_path, row(), bad)
    assert levels(found) == {("d1", "r1"): 1.0}
    assert aside(found) == [(2, field, value)]
    assert found.quarantine["reason"][0].startswith(reason) and found.quarantine["file"][0] == str(tmp_path / "a.jsonl")


def test_a_time_of_iso_8601_is_kept_as_it_was(tmp_path):
    times = ["2024-05-01", "2024-05-01T09:30", "2024-05-01 09:30:00.123456", "2024-05-01T09:30:00Z", "2024-05-01T09:30:00.5+09:00", None]
    found = read(tmp_path, *(row(rater=f"r{n}", rated_at=time) for n, time in enumerate(times)))
    assert found.ratings["rated_at"].to_list() == times


def test_a_row_that_says_nothing_new_is_counted_once(tmp_path):
    found = read(tmp_path, row(), row(rating="1.0"), row(rater="r2", rating="0"), row())
    assert levels(found) == {("d1", "r1"): 1.0, ("d1", "r2"): 0.0}
    assert (found.n_repeated, found.quarantine.height) == (2, 0)


def test_of_a_rater_who_contradicts_themselves_nothing_is_believed(tmp_path):
    found = read(tmp_path, row(rating="1"), row(rating="bad"), row(rating="-1.0"), row(rater="r2"))
    assert levels(found) == {("d1", "r2"): 1.0}
    assert aside(found) == [(1, "rating", "1"), (2, "rating", "bad"), (3, "rating", "-1.0")]
    assert found.quarantine["reason"][0] == "rater 'r1' contradicts themselves: 1 in row 1 and -1.0 in row 3"
    many = read(tmp_path, *(row(rating=n % 2) for n in range(7)))
    assert many.quarantine["reason"][6].endswith("0 in row 1 and 1 in row 2 and 0 in row 3 and 1 in row 4 …")


def test_who_rated_may_be_left_out_and_simulated_ratings_stay_marked(tmp_path):
    found = read(
        tmp_path, {"diary_id": "d1", "rating": 1}, row("d2", rater="unknown"), row(rater="r", source=SIMULATED)
    )
    assert found.ratings.select("rater_id", "source").rows() == [
        ("rater-1", "a.jsonl"),
        ("rater-1", "a.jsonl"),
        ("r", SIMULATED),
    ]


def test_a_file_with_texts_brings_its_own_diaries(tmp_path):
    rows = [
        row("x1", text="좋았다", context_id="p1"),
        row("x1", rater="r2", text=" 좋았다\u00a0", context_id="p1"),
        row("x2", text="싫었다", rated_at="2024-05-01"),
        row("x3", text=""),
        row("x4", text=True),
        row("x5", rating="7", text="그냥"),
        row("x6", text="가\0나"),
        row("x7", text="가" * 100_001),
    ]
    found = read(tmp_path, *rows)
    assert found.diaries.select("diary_id", "context_id", "image_id", "text", "created_at").rows() == [
        ("x1", "p1", None, "좋았다", "unknown"), ("x2", "x2", None, "싫었다", "2024-05-01"),
    ]  # fmt: skip
    assert aside(found, "row", "field") == [(4, "text"), (5, "text"), (6, "rating"), (7, "text"), (8, "text")]


def test_a_photo_is_kept_beside_the_context_and_stands_for_it(tmp_path):
    rows = [row("x1", text="좋았다", context_id="c1", image_id="p"), row("x2", text="싫었다", context_id="c2", image_id=""),
            row("x3", text="그냥", image_id="001.jpg"), row("x4", text="그냥", image_id=["p"])]  # fmt: skip
    found = read(tmp_path, *rows)
    assert found.diaries.select("context_id", "image_id").rows() == [("c1", "p"), ("c2", None), ("001.jpg", "001.jpg")]
    assert aside(found, "row", "field") == [(4, "image_id")]


def test_a_diary_has_one_text_one_context_and_one_photo(tmp_path):
    rows = [
        row(text="좋았다\n정말", context_id="p1"),
        row(rater="r2", text="싫었다", context_id="p1"),
        row(rater="r3", text="좋았다\n정말", context_id="p2"),
        row(rater="r4", text="좋았다\n정말", context_id="p1", image_id="i"),
        row(rater="r5", text="좋았다\r\n정말"),
    ]
    found = read(tmp_path, *rows)
    assert aside(found, "row", "field") == [(2, "text"), (3, "context_id"), (4, "image_id")]
    assert "is not the text that diary 'd1' has in an earlier row" == found.quarantine["reason"][0]
    assert levels(found) == {("d1", "r1"): 1.0, ("d1", "r5"): 1.0}


def test_other_marks_are_explained_by_a_scale(tmp_path):
    scale = {"1": -1.0, "2": -0.5, "3": 0.0, "4": 0.5, "5": 1.0, "별로": -0.5}
    rows = [row(rating=4), row(rater="r2", rating="5.0"), row(rater="r3", rating="별로"), row(rater="r4", rating=0.5)]
    found = read(tmp_path, *rows, scale=scale)
    assert levels(found) == {("d1", "r1"): 0.5, ("d1", "r2"): 1.0, ("d1", "r3"): -0.5}
    assert found.quarantine["reason"][0].startswith("is not one of 1, 2, 3, 4, 5, 별로")
    assert levels(read(tmp_path, row(rating="bad"), scale={"good": 1.0, "bad": -1.0})) == {("d1", "r1"): -1.0}


def test_several_places_are_one_set_of_ratings(tmp_path):
    folder = tmp_path / "ratings"
    folder.mkdir()
    jsonl(folder / "a.jsonl", row("x1", text="좋았다"), row("d1"), row("d2", rating=1, text="그냥"))
    (folder / "b.csv").write_text("diary_id,rater_id,rating\nx1,r2,0\nd2,r1,-1\nd9,r1,1\nx1,r1,1\n", encoding="utf-8")
    (folder / ".hidden").write_text("no table", encoding="utf-8")
    found = read(folder)
    # a text is missing in a file that has texts; d2 is contradicted across files, and d9 is nobody's
    assert aside(found, "row", "field", "reason") == [
        (2, "text", "is empty"),
        (3, "rating", f"rater 'r1' contradicts themselves: 1 in row 3 of {folder}/a.jsonl and -1 in row 2 of {folder}/b.csv"),
        (2, "rating", f"rater 'r1' contradicts themselves: 1 in row 3 of {folder}/a.jsonl and -1 in row 2 of {folder}/b.csv"),
        (3, "diary_id", "no such diary"),
    ]  # fmt: skip
    assert found.ratings.rows() == [("x1", "r1", 1.0, "a.jsonl", None), ("x1", "r2", 0.0, "b.csv", None)]
    assert found.n_repeated == 1
    both = rating_files.read([folder / "a.jsonl", folder / "b.csv"], KNOWN)
    assert both.quarantine.equals(found.quarantine) and both.ratings.equals(found.ratings)
    with pytest.raises(InputError, match="holds no file"):
        (tmp_path / "empty").mkdir()
        rating_files.read(tmp_path / "empty")


def test_of_several_files_each_is_its_own_raters_where_they_do_not_say(tmp_path):
    (tmp_path / "august").mkdir()
    for name, mark in (("kim.csv", 1), ("lee.csv", -1), ("august/lee.csv", 0)):
        (tmp_path / name).write_text(f"diary_id,rating\nd1,{mark}\n", encoding="utf-8")
    found = read(tmp_path)
    assert levels(found) == {("d1", "kim"): 1.0, ("d1", "lee"): -1.0}
    several = rating_files.read([tmp_path / "kim.csv", tmp_path / "lee.csv", tmp_path / "august"], KNOWN)
    assert levels(several) == {("d1", "kim"): 1.0, ("d1", f"{tmp_path.name}-lee"): -1.0, ("d1", "august-lee"): 0.0}


def test_without_known_diaries_any_may_be_rated(tmp_path):
    assert levels(read(tmp_path, row("d77"), known=None)) == {("d77", "r1"): 1.0}


def task(result, by=3, n=1, **more):
    data = {"diary_id": f"d{n}", "text": f"글 {n}", "image_id": "p"}
    return {"id": n, "data": data, "predictions": [], "annotations": [
        {"id": 7, "completed_by": by, "result": result, "was_cancelled": False, "created_at": "2025-01-01T00:00:00Z", **more},
    ]}  # fmt: skip


def stars(n, name="rating"):
    return {"type": "rating", "from_name": name, "to_name": "text", "value": {"rating": n}}


def choice(*names):
    return {"type": "choices", "from_name": "mood", "to_name": "text", "value": {"choices": list(names)}}


def test_label_studios_raw_export(tmp_path):
    tasks = [
        task([stars(4)]),
        task([choice("1")], by={"id": 3, "email": "a@b.c"}, n=2),
        task([stars(5), choice("1"), stars(1, "style")], by=4),
        task([stars(5)], by=5, was_cancelled=True),
        task([], by=6),
        task([choice("1", "5")], by=7),
        task([stars(1, "a"), stars(1, "b")], by=8),
        {"id": 9, "data": {"text": "글"}, "annotations": [{"completed_by": 1, "result": [stars(1)]}, "x"]},
        {"id": 10, "data": {"diary_id": "d2"}, "annotations": []},
        {"id": 11, "annotations": [{}]},
        task("x", by=9),
        task([stars(2)], by={"email": "a@b.c"}),
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    scale = {"1": -1.0, "2": -0.5, "3": 0.0, "4": 0.5, "5": 1.0}
    found = rating_files.read(tmp_path / "export.json", KNOWN, scale=scale)
    assert levels(found) == {("d1", "3"): 0.5, ("d2", "3"): -1.0, ("d1", "4"): 1.0}
    assert found.ratings["rated_at"].unique().to_list() == ["2025-01-01T00:00:00Z"]
    assert found.diaries.select("diary_id", "text", "image_id").rows() == [("d1", "글 1", "p"), ("d2", "글 2", "p")]
    assert aside(found, "row", "field", "reason") == [
        (4, "rating", "was cancelled by its annotator"),
        (5, "rating", "has not exactly one rating: one control, or the one named 'rating', tells it"),
        (6, "rating", "has not exactly one choice"),
        (7, "rating", "has not exactly one rating: one control, or the one named 'rating', tells it"),
        (8, "diary_id", "has no diary_id in its task's 'data'"),
        (9, None, "is not an annotation of Label Studio"),
        (10, None, "is not a task of Label Studio: 'data' is an object, 'annotations' a list"),
        (11, "rating", "is not a list of results"),
        (12, "rater_id", "names no annotator"),
    ]
    assert found.n_rows == 12


def record(answers, states, users=None, question="rating", **more):
    key = f"{question}.responses"
    return {"id": "d1", "status": "completed", "text": "글", key: answers, f"{key}.users": users or [f"u{n}" for n in range(len(answers or []))],
            f"{key}.status": states, **more}  # fmt: skip


def test_argillas_flattened_export(tmp_path):
    records = [
        record([1, 0.5, -1], ["submitted", "discarded", "draft"]),
        record(None, None, diary_id="d2"),
        record(["0.5"], ["submitted"], question="score", id="d2"),
        record([1], ["submitted", "submitted"]),
        record([1], ["submitted"], **{"other.responses": [2]}, users=["u9"]),
        record([1], ["submitted"], question="a", **{"b.responses": [2]}),
        {"id": "d1", "fields": {"text": "글"}, "responses": {"rating": [{"value": 1, "user_id": "u"}]}},
    ]
    found = read(tmp_path, *records)
    assert levels(found) == {("d1", "u0"): 1.0, ("d2", "u0"): 0.5, ("d1", "u9"): 1.0}
    assert aside(found, "row", "field", "reason") == [
        (2, "rating", "was not submitted"),
        (3, "rating", "was not submitted"),
        (5, None, "does not tell every response's user and status"),
        (7, None, "has several questions and none named 'rating'"),
        (8, None, "is an Argilla export without the responses' status: export with flatten=True"),
    ]


def test_ratings_of_many_diaries_are_found_as_one_by_one(tmp_path):
    """Against plain Python, row by row."""
    import random

    rng = random.Random(3)
    rows = [row(f"d{rng.randrange(30)}", rng.choice([-1, 0, 1, 2]), f"r{rng.randrange(4)}") for _ in range(400)]
    known = {f"d{n}": "글" for n in range(25)}
    found = read(tmp_path, *rows, known=known)
    said: dict = {}
    for r in rows:
        if r["diary_id"] in known and r["rating"] != 2:
            said.setdefault((r["diary_id"], r["rater_id"]), []).append(r["rating"])
    assert levels(found) == {key: given[0] for key, given in said.items() if len(set(given)) == 1}
    assert found.n_repeated == sum(len(given) - 1 for given in said.values() if len(set(given)) == 1)
    assert pl.Series(found.quarantine["row"]).is_sorted()

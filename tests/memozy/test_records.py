import json

import polars as pl
import pytest

from memozy.records import (
    ARMS,
    CONTEXTS,
    DIARIES,
    OVERSAMPLED,
    PAIRS,
    PULLS,
    QUERIES,
    RATED,
    RATINGS,
    InputError,
    check,
    check_template,
    fill,
    read,
    read_contexts,
    read_jsonl,
    template_fault,
    write,
    write_jsonl,
)

CONTEXT = {"context_id": "c1", "place": "해운대", "people": "친구", "mood": "기쁨", "photo": "등대"}
SLOTS = "장소 {place}, 사람 {people}, 기분 {mood}, 사진 {photo}."


def ratings(**columns):
    rows = {
        "diary_id": ["d1", "d2"],
        "rater_id": ["r", "r"],
        "rating": [0.5, -1.0],
        "source": ["f", "f"],
        "rated_at": [None, None],
    }
    return pl.DataFrame(rows | columns)


def test_what_is_written_is_read_back(tmp_path):
    write(ratings(), tmp_path / "ratings", RATINGS)
    assert read(tmp_path / "ratings", RATINGS).equals(check(ratings(), RATINGS, "x"))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"rating": [0.5, 0.7]},
            r"f.csv, row 2, field 'rating', value 0.7: is not allowed. Allowed: -1, -0.5, 0, 0.5, 1",
        ),
        ({"rating": [float("nan"), 0.5]}, r"f.csv, row 1, field 'rating', value nan: is not a finite number"),
        ({"rating": ["0.5", "gut"]}, r"f.csv, row 2, field 'rating', value 'gut': is not a number"),
        ({"rater_id": ["r", None]}, r"f.csv, row 2, field 'rater_id', value 'null': is empty"),
        ({"diary_id": ["d1", "d1"]}, r"f.csv, row 1, field 'diary_id\+rater_id', value 'd1\+r': stands more than once"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(columns, said):
    with pytest.raises(InputError, match=said):
        check(ratings(**columns), RATINGS, "f.csv")


def test_a_missing_column_is_named_and_an_optional_one_filled():
    with pytest.raises(InputError, match="field 'source': column is missing. ratings needs: diary_id"):
        check(ratings().drop("source"), RATINGS, "f.csv")
    assert check(ratings().drop("rated_at"), RATINGS, "f.csv")["rated_at"].null_count() == 2


def test_numbers_out_of_bounds(tmp_path):
    diary = {"diary_id": "d", "context_id": "c", "prompt_id": "p", "generator": "g", "text": "t", "created_at": "now"}
    with pytest.raises(InputError, match="field 'cost_usd', value -0.1: is too small. The least is 0"):
        write(pl.DataFrame([diary | {"cost_usd": -0.1}]), tmp_path / "diaries", DIARIES)
    assert not (tmp_path / "diaries").exists()


def test_rated_rows_say_their_photo_and_may_leave_out_prompt_and_variance():
    row = {"diary_id": "d1", "group_id": "g", "context_id": "c", "text": "t", "rating": 0.25, "n_raters": 1, "split": "test"}
    rated = check(pl.DataFrame([row]), RATED, "f")
    assert rated.row(0, named=True) == row | {"image_id": None, "prompt_id": None, "rating_variance": None, "simulated": None, "surrogate": None}
    assert check(rated.with_columns(copies=1), OVERSAMPLED, "f").drop("copies").equals(rated)
    with pytest.raises(InputError, match="field 'context_id': column is missing"):
        check(rated.drop("context_id"), RATED, "f")
    with pytest.raises(InputError, match="field 'rating_variance', value -0.5: is too small. The least is 0"):
        check(rated.with_columns(rating_variance=-0.5), RATED, "f")


def test_a_pair_may_lack_what_was_asked_but_neither_answer():
    pair = {"pair_id": "1", "group_id": "g", "prompt": None, "chosen": "좋은 글", "rejected": "나쁜 글"}
    assert check(pl.DataFrame([pair]), PAIRS, "f").rows(named=True) == [pair | {"context_id": None, "image_id": None}]
    with pytest.raises(InputError, match="row 1, field 'rejected', value 'null': is empty"):
        check(pl.DataFrame([pair | {"rejected": None}]), PAIRS, "f")


def test_jsonl_errors_name_the_line(tmp_path):
    path = tmp_path / "contexts.jsonl"
    cases = {
        '{"context_id": "c1"': r"row 2, value .* is not JSON",
        '["c1"]': r"row 2, value \['c1'\]: is not an object",
        json.dumps(CONTEXT | {"context_id": "c2", "place": 3}): r"row 2, field 'place', value 3: is not text",
        json.dumps(CONTEXT | {"context_id": "c2", "place": None}): r"row 2, field 'place', value 'null': is empty",
    }
    for line, said in cases.items():
        path.write_text(json.dumps(CONTEXT) + "\n" + line + "\n", encoding="utf-8")
        with pytest.raises(InputError, match=said):
            read_jsonl(path, CONTEXTS)
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no rows"):
        read_jsonl(path, CONTEXTS)
    with pytest.raises(InputError, match="no such file"):
        read_jsonl(tmp_path / "nothing.jsonl", CONTEXTS)


def test_contexts_are_taken_from_the_top(tmp_path):
    write_jsonl([CONTEXT, CONTEXT | {"context_id": "c2"}], tmp_path / "c.jsonl")
    assert read_contexts(tmp_path / "c.jsonl", 1)["context_id"].to_list() == ["c1"]
    with pytest.raises(InputError, match="holds 2 contexts, 3 are asked for"):
        read_contexts(tmp_path / "c.jsonl", 3)


def test_template_hygiene():
    assert template_fault(SLOTS) is None
    assert template_fault(SLOTS.replace("{mood}", "")) == "has no slot {mood}"
    assert template_fault(SLOTS + " {mood}") == "has more than one slot {mood}"
    assert template_fault(SLOTS + " {who}") == "has an unknown slot {who}"
    assert template_fault("짧게. 짧게. " + SLOTS) == "says a sentence twice"
    assert template_fault("짧게.\n" + SLOTS) == "has more than one paragraph"
    assert template_fault(SLOTS + " {").startswith("has broken braces")
    with pytest.raises(InputError, match="prompts.jsonl, row 4, field 'template'.* has no slot {mood}"):
        check_template(SLOTS.replace("{mood}", ""), "prompts.jsonl", 4)


def test_values_are_filled_in_as_text():
    assert fill(SLOTS, CONTEXT | {"place": "{mood}"}) == "장소 {mood}, 사람 친구, 기분 기쁨, 사진 등대."


def test_schemas_name_their_keys():
    for schema in (ARMS, CONTEXTS, DIARIES, OVERSAMPLED, PAIRS, PULLS, RATED, RATINGS):
        assert set(schema.key) <= set(schema.fields)


def test_json_lines_in_another_encoding_are_refused_in_one_line(tmp_path):
    (tmp_path / "a.jsonl").write_bytes('{"query": "오늘"}\n'.encode("cp949"))
    with pytest.raises(InputError, match=r"a\.jsonl: is not UTF-8 \(byte 11\)\. Save it as UTF-8"):
        read_jsonl(tmp_path / "a.jsonl", QUERIES)


def test_a_file_that_is_no_parquet_is_refused_in_one_line(tmp_path):
    (tmp_path / "ratings.parquet").write_text("diary_id,rating\n")
    with pytest.raises(InputError, match=r"ratings\.parquet: is not a Parquet file \(.*\)\. It should hold ratings$"):
        read(tmp_path / "ratings.parquet", RATINGS)

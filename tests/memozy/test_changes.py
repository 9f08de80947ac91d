"""What changed between two data sets, counted by hand."""

import polars as pl
import pytest

from memozy import records
from memozy.records import InputError
from memozy.versions import changes


def diary(diary_id, text="글", prompt_id="a"):
    return {"diary_id": diary_id, "context_id": "c", "image_id": None, "prompt_id": prompt_id, "generator": "g", "text": text,
            "cost_usd": 0.0, "created_at": "2026-01-01"}  # fmt: skip


def rating(diary_id, rater_id, level, source="one.csv"):
    return {"diary_id": diary_id, "rater_id": rater_id, "rating": level, "source": source, "rated_at": None}


def surrogate(diary_id, level, signal="edit"):
    return {"diary_id": diary_id, "rating": level, "signal": signal, "similarity": None, "method": "rule"}


def data_set(diaries, ratings, surrogates=(), surrogate_diaries=()):
    def frame(rows, schema):
        return pl.DataFrame(list(rows), schema=schema.dtypes)

    return changes.DataSet(
        frame(ratings, records.RATINGS), frame(diaries, records.DIARIES), frame(surrogates, records.SURROGATES),
        frame(surrogate_diaries, records.DIARIES),
    )  # fmt: skip


BEFORE = data_set(
    [diary("d1"), diary("d2"), diary("d3"), diary("d4")],
    [rating("d1", "kim", 1.0), rating("d1", "lee", 0.5), rating("d2", "kim", -1.0), rating("d3", "kim", 0.0), rating("d4", "lee", 1.0)],
    [surrogate("d8", -0.5), surrogate("d9", 1.0, "like")], [diary("d8"), diary("d9")],
)  # fmt: skip
AFTER = data_set(
    [diary("d1"), diary("d2", "다른 글"), diary("d3", prompt_id="b"), diary("d5")],
    # lee now likes d1 as kim does; kim's d2 comes from another file; d4 went, d5 came, of a rater who is new
    [rating("d1", "kim", 1.0), rating("d1", "lee", 1.0), rating("d2", "kim", -1.0, "two.csv"), rating("d3", "kim", 0.0), rating("d5", "=1+1\x1b", -1.0)],
    [surrogate("d8", -0.25)], [diary("d8")],
)  # fmt: skip


def test_every_change_is_counted_once():
    found = changes.compare(BEFORE, AFTER)
    assert found["diaries"] == {"before": 6, "after": 5, "added": ["d5"], "removed": ["d4", "d9"], "changed": ["d2"], "otherwise": 1}
    ratings = found["ratings"]
    assert {k: ratings[k] for k in ("before", "after", "added", "removed", "otherwise")} == {
        "before": 5, "after": 5, "added": 1, "removed": 1, "otherwise": 1,
    }  # fmt: skip
    assert ratings["changed"] == [{"diary_id": "d1", "rater_id": "lee", "before": 0.5, "after": 1.0}]
    keys = ("value", "before", "after", "added", "removed", "changed_from", "changed_to")
    assert [tuple(row[k] for k in keys) for row in ratings["classes"]] == [
        (-1.0, 1, 2, 1, 0, 0, 0), (0.0, 1, 1, 0, 0, 0, 0), (0.5, 1, 0, 0, 0, 1, 0), (1.0, 2, 2, 0, 1, 0, 1),
    ]  # fmt: skip
    assert [tuple(row[k] for k in keys) for row in ratings["raters"]] == [
        ("=1+1\x1b", 0, 1, 1, 0, 0, 0), ("kim", 3, 3, 0, 0, 0, 0), ("lee", 2, 1, 0, 1, 1, 1),
    ]  # fmt: skip
    assert found["surrogates"]["changed"] == [{"diary_id": "d8", "before": -0.5, "after": -0.25}]
    assert [row["value"] for row in found["surrogates"]["signals"]] == ["edit", "like"]


def test_a_table_shows_the_same_and_no_control_characters():
    text = "\n".join(changes.lines(changes.compare(BEFORE, AFTER)))
    assert "\x1b" not in text
    assert [line.split() for line in text.splitlines()][:4] == [
        ["before", "after", "added", "removed", "changed", "otherwise"], ["diaries", "6", "5", "1", "2", "1", "1"],
        ["ratings", "5", "5", "1", "1", "1", "1"], ["surrogates", "2", "1", "0", "1", "1", "0"],
    ]  # fmt: skip
    assert ["0.5", "1", "0", "0", "0", "1", "0"] in [line.split() for line in text.splitlines()]


def test_many_raters_are_cut_to_those_who_changed_most():
    many = data_set([diary("d")], [rating("d", f"r{n}", 0.0) for n in range(30)] + [rating("d", "z", 0.5)])
    lines = changes.lines(changes.compare(many, data_set([diary("d")], [rating("d", f"r{n}", 0.0) for n in range(30)])))
    assert next(line for line in lines if line.startswith("rater")) and lines[lines.index(next(x for x in lines if x.startswith("rater"))) + 1].startswith("z ")
    assert lines[-1] == "… and 11 more, who changed no more than these"


def test_the_same_data_has_no_changes():
    found = changes.compare(BEFORE, BEFORE)
    for part in found.values():
        assert [part[k] for k in ("added", "removed", "changed")] in ([[], [], []], [0, 0, []]) and part["otherwise"] == 0


def test_a_data_set_from_before_there_were_surrogates_is_read(tmp_path):
    records.write(BEFORE.ratings, tmp_path / "ratings.parquet", records.RATINGS)
    with pytest.raises(InputError, match="diaries.parquet: no such file"):
        changes.load(tmp_path)
    records.write(BEFORE.diaries, tmp_path / "diaries.parquet", records.DIARIES)
    assert changes.load(tmp_path).surrogates.is_empty()
    with pytest.raises(InputError, match="holds no data set"):
        changes.load(tmp_path / "none")

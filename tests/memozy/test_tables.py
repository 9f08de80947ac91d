import csv
import io
import json
import random
from datetime import date

import polars as pl
import pytest

from memozy import tables
from memozy.records import InputError
from memozy.tables import Unusable
from tests.workbooks import write_ods, write_xlsx

HEADER = ["diary_id", "rater_id", "rating", "text"]
ROWS = [["007", "NA", "0.5", '바다, "파도"\n그리고 산'], ["d2", "", "-1", "=1+1"], ["null", "NaN", "1", "a;b|c"]]
FOUND = [tuple(cell or None for cell in row) for row in ROWS]


def delimited(separator=",", newline="\r\n"):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=newline).writerows(
        [HEADER, [], *ROWS[:1], ["", "", "", ""], *ROWS[1:]]
    )
    return text.getvalue()


def found(path, columns=HEADER):
    table = tables.read(path, columns)
    assert table.faults.is_empty()
    return table.rows.select(HEADER).rows()


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp949"])
def test_text_in_columns_whatever_the_separator_and_the_encoding(tmp_path, separator, encoding):
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    (tmp_path / "a").write_bytes((mark + delimited(separator)).encode(encoding))
    assert found(tmp_path / "a") == FOUND


@pytest.mark.parametrize("text", [delimited(newline="\n"), delimited(newline="\r"), "sep=;\r\n" + delimited(";"), "\n\n" + delimited(),
                                  delimited().replace("diary_id", " diary_id ")])  # fmt: skip
def test_line_ends_excels_hint_and_a_header_further_down(tmp_path, text):
    (tmp_path / "a.txt").write_bytes(text.encode())
    assert found(tmp_path / "a.txt") == FOUND


@pytest.mark.parametrize(
    "text", [json.dumps, lambda rows: "\n\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_a_list_of_objects_and_one_a_line(tmp_path, text, encoding):
    rows = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    (tmp_path / "a.csv").write_bytes(text([{**r, "rater_id": r["rater_id"] or None} for r in rows]).encode(encoding))
    assert found(tmp_path / "a.csv") == FOUND


def test_workbooks_and_parquet(tmp_path):
    cells = [["007", "NA", 0.5, ROWS[0][3]], [None] * 4, ["d2", "", -1, "=1+1"], ["null", "NaN", 1, "a;b|c"]]
    assert found(write_xlsx(tmp_path / "a", [[None] * 4, HEADER, *cells], [])) == FOUND
    flat = [[cell if cell is not None else "" for cell in row] for row in [HEADER, *cells]]
    told = [(a, b, c, text.replace("\n", "")) for a, b, c, text in FOUND]  # a paragraph of ODS has no line ends
    assert [(a, b, c, text.replace("\n", "")) for a, b, c, text in found(write_ods(tmp_path / "b", flat))] == told
    table = pl.DataFrame(FOUND, schema=HEADER, orient="row").with_columns(pl.col("rating").cast(pl.Float64))
    table.with_columns(pl.col("text").cast(pl.Categorical), other=pl.lit([1])).write_parquet(tmp_path / "c")
    assert found(tmp_path / "c") == FOUND


def test_a_number_is_its_text_wherever_it_has_been(tmp_path):
    numbers = [7, 7.0, 0.5, -0.0, 1e300, 2**60, None]
    texts = ["7", "7", "0.5", "0", "1e+300", str(2**60), None]
    (tmp_path / "a").write_text("".join(json.dumps({"n": n, "m": 1}) + "\n" for n in numbers), encoding="utf-8")
    assert tables.read(tmp_path / "a", ["n"]).rows["n"].to_list() == texts
    whole = pl.Series([7, None], dtype=pl.Int8)
    pl.DataFrame({"n": whole, "f": [7.0, float("nan")], "d": [date(2025, 3, 1), None]}).write_parquet(tmp_path / "b")
    assert tables.read(tmp_path / "b").rows.rows() == [("7", "7", "2025-03-01"), (None, None, None)]
    assert tables.read(write_xlsx(tmp_path / "c", [["n"], [7], [7.0], [0.5]])).rows["n"].to_list() == ["7", "7", "0.5"]


def test_what_is_no_cell_is_a_fault_in_its_place_and_columns_nobody_asked_for_are_none(tmp_path):
    rows = [{"a": "x"}, {"a": True}, {"a": [1], "b": {}}, "oops", {"a": "\ud800y"}]
    lines = [json.dumps(row) for row in rows[:3]] + ["{oops", "[1]", '{"a": 1, "a": 2}', json.dumps(rows[4])]
    (tmp_path / "a").write_text("\n".join(lines), encoding="utf-8")
    table = tables.read(tmp_path / "a", ["a"])
    assert table.rows["a"].to_list() == ["x", None, None, None, None, None, "�y"]
    assert (table.n_rows, table.columns) == (7, ("a", "b"))
    assert sorted((row, field, value) for row, field, value, _ in table.faults.iter_rows()) == [
        (2, "a", "True"), (3, "a", "[1]"), (4, None, "{oops"), (5, None, "[1]"), (6, None, '{"a": 1, "a": 2}'),
    ]  # fmt: skip
    pl.DataFrame({"a": [[1], None], "b": [True, False], "c": ["x", "y"]}).write_parquet(tmp_path / "b")
    assert tables.read(tmp_path / "b", ["c"]).faults.is_empty()
    assert [r[:3] for r in tables.read(tmp_path / "b").faults.rows()] == [
        (1, "a", "List(Int64)"),
        (1, "b", "true"),
        (2, "b", "false"),
    ]
    with pytest.raises(
        InputError, match="row 4, value '{oops': is not JSON|row 2, field 'a', value 'True': is neither text"
    ):
        tables.read_rows(tmp_path / "a")


def test_a_row_with_too_many_cells_is_a_fault_and_one_with_too_few_lacks_its_last(tmp_path):
    (tmp_path / "a").write_text("a,b\n1,2\n1,2,3\n4\n", encoding="utf-8")
    table = tables.read(tmp_path / "a")
    assert table.rows.rows() == [("1", "2"), (None, None), ("4", None)]
    [(row, field, value, reason)] = table.faults.rows()
    assert (row, field, value) == (2, None, "1, 2, 3") and reason.startswith("has 3 cells where the header has 2")


def test_objects_come_in_chunks_whose_keys_differ(tmp_path, monkeypatch):
    monkeypatch.setattr("memozy.tables.objects.CHUNK", 2)
    lines = ['{"a": "1"}', '{"b": "2"}', '{"b": "3"}', "nothing", '{"a": true, "c": 5}']
    (tmp_path / "a").write_text("\n".join(['{"x": 0}', *lines]), encoding="utf-8")
    table = tables.read(tmp_path / "a", ["a", "b", "c"])
    assert table.rows.select("a", "b", "c").rows() == [
        (None, None, None), ("1", None, None), (None, "2", None), (None, "3", None), (None, None, None), (None, None, "5"),
    ]  # fmt: skip
    assert [row[:3] for row in table.faults.rows()] == [(5, None, "nothing"), (6, "a", "True")]


def test_expanding_gives_the_rows_that_are_numbered(tmp_path):
    (tmp_path / "a").write_text('[{"n": ["1", "2"]}, {"n": ["3"]}]', encoding="utf-8")
    table = tables.read(
        tmp_path / "a",
        ["n"],
        lambda objects: [{"n": n if n != "2" else Unusable(n, "is even")} for o in objects for n in o["n"]],
    )
    assert table.rows["n"].to_list() == ["1", None, "3"]
    assert table.faults.rows() == [(2, "n", "2", "is even")]


def test_the_fast_reader_and_the_one_that_finds_faults_read_the_same(tmp_path, monkeypatch):
    rng, tables_ = random.Random(0), []
    for _ in range(60):
        width = rng.randint(2, 4)
        cells = ["", "a", "바다", "1,5", ";", " ", "'", "\t", "NA", "0.50", "#"]
        tables_.append(
            [
                [f"c{n}" for n in range(width)],
                *([rng.choice(cells) for _ in range(width)] for _ in range(rng.randint(0, 6))),
            ]
        )
    for number, rows in enumerate(tables_):
        with open(tmp_path / str(number), "w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerows(rows)
    fast = [tables.read(tmp_path / str(number)).rows.rows() for number in range(len(tables_))]

    def refuse(*_, **__):
        raise pl.exceptions.ComputeError("none of it")

    monkeypatch.setattr("memozy.tables.delimited.pl.read_csv", refuse)
    careful = [tables.read(tmp_path / str(number)).rows.rows() for number in range(len(tables_))]
    assert fast == careful
    assert sum(map(len, fast)) > 100


def test_a_quote_that_is_not_closed_takes_no_other_rows_with_it(tmp_path):
    (tmp_path / "a").write_text('id,rating,text\na,1,"오늘 "좋다"\nb,-1,"또 "나쁘다"\nc,0,x\nd,1,"두\n줄"\ne,1,"끝', encoding="utf-8")
    table = tables.read(tmp_path / "a")
    assert table.rows.rows() == [(None,) * 3, (None,) * 3, ("c", "0", "x"), ("d", "1", "두\n줄"), (None,) * 3]
    assert table.faults.select("row", "field", "value").rows() == [
        (1, None, 'a,1,"오늘 "좋다"'), (2, None, 'b,-1,"또 "나쁘다"'), (5, None, 'e,1,"끝'),
    ]  # fmt: skip
    assert set(table.faults["reason"].str.extract(r"^is not CSV \((.*)\): close every double quote")) == {
        "',' expected after '\"'", "unexpected end of data"}  # fmt: skip
    # cells with quotes in their midst are what they are, also where as many rows come of it
    (tmp_path / "b").write_text('a,b,c\n"x\ny",5",5"\n1,2,3\n', encoding="utf-8")
    assert tables.read(tmp_path / "b").rows.rows() == [("x\ny", '5"', '5"'), ("1", "2", "3")]


@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16"])
def test_every_row_between_rows_with_broken_quotes_is_read(tmp_path, encoding):
    rng = random.Random(5)
    good = ["바다", "그냥 좋다", "1,5", 'say "x"', "two\nlines", "", "끝\r\n"]
    broken = ['"오늘 "좋다"', '"open', '"a"b', '"두\t줄', '"x" ', '"그래서 "그"냥"']
    for number in range(150):
        wanted, text = [], "id,text,mark\n"
        for n in range(rng.randint(1, 9)):
            if rng.random() < 0.4:
                wanted.append(None)
                text += f"d{n},{rng.choice(broken)},1\n"
            else:
                wanted.append((f"d{n}", rng.choice(good) or None, "1"))
                line = io.StringIO(newline="")
                csv.writer(line, quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerow(wanted[-1])
                text += line.getvalue()
        (tmp_path / str(number)).write_bytes(text.encode(encoding))
        table = tables.read(tmp_path / str(number))
        assert table.rows.select("id", "text", "mark").rows() == [row or (None,) * 3 for row in wanted]
        assert table.faults["row"].to_list() == [n for n, row in enumerate(wanted, start=1) if row is None]
        assert table.n_rows == len(wanted)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        tables.read(tmp_path / "nowhere.csv")

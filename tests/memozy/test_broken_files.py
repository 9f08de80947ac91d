"""Files as nobody should hand them in, made here: each is refused in one line, or every row of it is accounted for."""

import io
import json
import random
import struct
import zipfile
import zlib
from pathlib import Path

import polars as pl
import pytest

from memozy import rating_files
from memozy.records import DIARIES, RATINGS, InputError, check
from tests.workbooks import write_ods, write_xlsx, xlsx_rows

KNOWN = {f"d{n}": "글" for n in range(1, 9)}
GOOD = "diary_id,rater_id,rating\nd1,a,1\nd2,a,0\n"
HEADER = ["diary_id", "rater_id", "rating"]
ROWS = [{"diary_id": "d1", "rater_id": "a", "rating": 1}, {"diary_id": "d2", "rater_id": "a", "rating": 0}]


def parquet(**columns) -> bytes:
    buffer = io.BytesIO()
    given = {"diary_id": ["d1", "d2"], "rater_id": ["a", "a"], "rating": [1.0, 0.0]} | columns
    pl.DataFrame({name: values for name, values in given.items() if values}).write_parquet(buffer)
    return buffer.getvalue()


def workbook(*sheets) -> bytes:
    return _made(lambda path: write_xlsx(path, *sheets))


def document(rows) -> bytes:
    return _made(lambda path: write_ods(path, rows))


def _made(write) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder) / "a").read_bytes()


def archive(**parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def bomb(size: int) -> bytes:
    """A workbook whose directory says that a sheet of a few kilobytes unpacks to `size` bytes of spaces."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = squeezed.compress(b" " * (1 << 20)) + squeezed.flush()
    name = b"xl/workbook.xml"
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), size, len(name), 0) + name + packed
    central = (
        struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(packed), size, len(name), 0, 0, 0, 0, 0, 0)
        + name
    )
    return local + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


def flipped(content: bytes, seed: int) -> bytes:
    rng, broken = random.Random(seed), bytearray(content)
    for _ in range(12):
        broken[rng.randrange(4, len(broken))] = rng.randrange(256)
    return bytes(broken)


def lines(*rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def rows(*more: str) -> bytes:
    return (GOOD + "".join(f"{row}\n" for row in more)).encode()


# what is refused as a whole, and a piece of what is said
REFUSED = {
    "empty": (b"", "holds no rows"),
    "only a BOM": (b"\xef\xbb\xbf", "holds no rows"),
    "only blank lines": (b"\n\n  \n", "holds no rows"),
    "only a header": (b"diary_id,rater_id,rating\n", "holds no rows"),
    "a header and blank rows": (b"diary_id,rater_id,rating\n,,\n\n", "holds no rows"),
    "wrong columns": (b"id,score\nd1,1\n", "field 'diary_id': column is missing. The file has: id, score"),
    "no rating": (b"diary_id,rater_id\nd1,a\n", "field 'rating': column is missing"),
    "a header in Korean": ("일기,점수\nd1,1\n".encode("cp949"), "The file has: 일기, 점수"),
    "a thousand wrong columns": (b",".join(b"c%d" % n for n in range(1000)) + b"\n" + b"1," * 999 + b"1\n", "and 990 more"),
    "a column twice": (b"diary_id,rating,rating\nd1,1,-1\n", "field 'rating': column stands twice"),
    "lines in a header": (b'"diary_id\nof us",rating\nd1,1\n', "The file has: diary_id of us, rating"),
    "no header": (b"d1,a,1\nd2,a,0\n", "column is missing"),
    "prose": ("오늘은 날씨가 좋았다.\n내일도 그럴까?\n".encode(), "column is missing"),
    "Latin-1": ("diary_id,rater_id,rating\nd1,café,1\n".encode("latin-1"), "is not UTF-8, nor CP949 as Korean Excel saves it. Save it as UTF-8"),
    "UTF-8 cut within a character": (rows("d3,a,1,바")[:-2], "is not UTF-8"),
    "UTF-16 cut within a character": (b"\xff\xfe" + GOOD.encode("utf-16-le")[:-1], "is not UTF-16"),
    "UTF-16 without a BOM": (GOOD.encode("utf-16-le"), "is neither text nor a known kind of table"),
    "bytes at random": (random.Random(1).randbytes(5_000), "is not UTF-8, nor CP949"),
    "a PNG": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is neither text nor a known kind of table"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF"),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0\0", "is compressed (gzip)"),
    "HTML": (b"<html><body><table><tr><td>d1</td></tr></table></body></html>", "column is missing"),
    "YAML": (b"- diary_id: d1\n  rating: 1\n", "column is missing"),
    "truncated JSON": (json.dumps(ROWS).encode()[:-20], "is not JSON"),
    "JSON with a comma too many": (b'[{"diary_id": "d1", "rating": 1},]', "is not JSON"),
    "JSON nested deeply": (b"[" * 200_000, "is JSON nested too deeply"),
    "a number of 5,000 digits": (b'[{"diary_id": "d1", "rating": ' + b"1" * 5_000 + b"}]", "has a number of too many digits"),
    "an empty list": (b"[]", "holds no rows"),
    "an object of lists": (b'{"diary_id": ["d1"], "score": [1]}', "field 'rating': column is missing"),
    "Label Studio without annotations": (json.dumps([{"id": 1, "data": {}, "annotations": []}]).encode(), "holds no rows"),
    "an archive": (archive(ratings=GOOD.encode()), "is an archive, and no workbook"),
    "half an archive": (archive(xl__workbook=b"x")[:40], "cannot be read"),
    "a bomb": (bomb(3 << 30), "unpacks to 3,221,225,472 bytes"),
    "a workbook that is none": (archive(**{"xl__workbook.xml": b"hello"}), "cannot be read"),
    "an empty workbook": (workbook([]), "holds no rows"),
    "two filled sheets": (workbook([HEADER, ["d1", "a", 1]], [["more"]]), "more than one of its sheets holds something: s1, s2"),
    "a title above the header": (workbook([["평가표", None, None], HEADER, ["d1", "a", 1]]), "column is missing. The file has: 평가표"),
    "cells no memory holds": (workbook('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
                              "cannot be read (it breaks the reader, or wants more memory"),
    "rows repeated for ever": (document('<table:table-row table:number-rows-repeated="2000000000"><table:table-cell '
                                        'table:number-columns-repeated="16000" office:value-type="string"><text:p xmlns:text="x">a</text:p>'
                                        "</table:table-cell></table:table-row>"), "cannot be read"),
    "a protected workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600, "is protected by a password"),
    "an old workbook that is none": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "cannot be read"),
    "truncated Parquet": (parquet()[:-30], "cannot be read"),
    "only Parquet's magic": (b"PAR1", "cannot be read"),
    "Parquet with another footer": (parquet()[:-8] + struct.pack("<I", 1 << 30) + b"PAR1", "cannot be read"),
    "Parquet without ratings": (parquet(rating=None, score=[1, 0]), "column is missing"),
    "Parquet of no rows": (_made(lambda path: pl.DataFrame(schema={n: pl.String for n in HEADER}).write_parquet(path) or path), "holds no rows"),
}  # fmt: skip

# of what is read in part: how many ratings, how many repeated, and what is set aside, by field and reason's beginning
PARTLY = {
    "rows too long": (rows("d3,a,0,5", "d4,a,1"), 3, 0, [(None, "has 4 cells where the header has 3")]),
    "rows too short": (rows("d3", "d4,a", "d5,a,1"), 3, 0, [("rating", "was not rated")] * 2),
    "a decimal comma": (GOOD.replace(",", ";").encode() + b"d3;a;0,5\n", 2, 0, [("rating", "is not a number: write a point")]),
    "full-width digits": (rows("d3,a,０．５"), 2, 0, [("rating", "is not a number: write half-width digits")]),
    "stars instead of levels": (rows("d3,a,4", "d4,a,5"), 2, 0, [("rating", "is not one of -1, -0.5, 0, 0.5, 1")] * 2),
    "words instead of levels": (rows("d3,a,good"), 2, 0, [("rating", "is not a number")]),
    "NaN, infinities and more than a float": (rows("d3,a,NaN", "d4,a,inf", "d5,a,-Infinity", "d6,a,1e999"), 2, 0, [("rating", "is not one of")] * 4),
    "hexadecimal and underscores": (rows("d3,a,0x1", "d4,a,1_0"), 2, 0, [("rating", "is not a number")] * 2),
    "formulas": (rows('d3,a,"=1+0"', '"=HYPERLINK(""http://x"")",a,1', "d4,@SUM(A1),1"), 3, 0, [("rating", "is not a number"), ("diary_id", "no such diary")]),
    "a formula for a text": (b'diary_id,rating,text\nx1,1,"=cmd|\' /C calc\'!A0"\n', 1, 0, []),
    "paths for ids": (rows("../d1,a,1", "/etc/passwd,a,1", "d3,..\\a,1", "C:\\d1,a,1"), 2, 0, [("diary_id", "is a path"), ("diary_id", "is a path"), ("rater_id", "is a path"), ("diary_id", "is a path")]),
    "NUL and bells": (rows("d3,a\0b,1", "d4\7,a,1"), 2, 0, [("rater_id", "holds a control"), ("diary_id", "holds a control")]),
    "a NUL in a text": (b"diary_id,rating,text\nx1,1,a\0b\nx2,1,b\n", 1, 0, [("text", "holds a control character")]),
    "unknown ids": (rows("d99,a,1", "D1,a,1", "1,a,1"), 2, 0, [("diary_id", "no such diary")] * 3),
    "nobody's ids": (rows(" ,a,1", ",b,1"), 2, 0, [("diary_id", "is empty")] * 2),
    "an id of a megabyte in JSON": (lines(*ROWS, {"diary_id": "x" * 1_000_000, "rating": 1}), 2, 0, [("diary_id", "has more than 200 characters")]),
    "an open quote": (rows('d3,"a,1', "d4,a,1"), 3, 0, [(None, "is not CSV (unexpected end of data): close every double quote")]),
    "something after a quote": (rows('d3,"a"b,1', "d4,a,1"), 3, 0, [(None, "is not CSV")]),
    "an open quote before 200,000 characters": (rows('d3,"a,1', "x" * 200_000, "d4,a,1"), 3, 0, [(None, "has a cell of more than 131,072 characters, or an open quote")] * 2),
    "a 10-MB cell of CSV": (rows(f"d3,{'x' * 10_000_000},1"), 2, 0, [("rater_id", "has more than 200 characters")]),
    "a 10-MB cell in quotes": (rows(f'd3,"{"x" * 10_000_000}",1'), 2, 0, [(None, "has a cell of more than 131,072 characters")]),
    "rows that all are too short, and a quote": (b'diary_id,rating\n"d1"\n', 0, 0, [("rating", "was not rated")]),
    "a 10-MB text": (lines({"diary_id": "x1", "rating": 1, "text": "가" * 10_000_000}, {"diary_id": "x2", "rating": 1, "text": "나"}), 1, 0, [("text", "has more than 100,000 characters")]),
    "a rater's two minds": (rows("d1,a,-1", "d2,a,0", "d2,a,0.0"), 1, 2, [("rating", "rater 'a' contradicts")] * 2),
    "two texts of one diary": (b"diary_id,rater_id,rating,text\nx1,a,1,one\nx1,b,1,two\n", 1, 0, [("text", "is not the text")]),
    "lone carriage returns": (GOOD.replace("\n", "\r").encode(), 2, 0, []),
    "doubled line ends": (GOOD.replace("\n", "\r\r\n").encode(), 2, 0, []),
    "a quote within a cell": (rows('d3,say "a",1', 'd4,5" tall,1'), 4, 0, []),
    "a column without a name": (b",diary_id,rating\n0,d1,1\n1,d2,0\n", 2, 0, []),
    "lines that are cut off": (lines(*ROWS) + b'{"diary_id": "d3", "ra', 2, 0, [(None, "is not JSON")]),
    "lines of something else": (lines(*ROWS) + b"hello\n[1]\n2\nnull\n", 2, 0, [(None, "is not JSON"), (None, "is not an object"), (None, "is not an object"), (None, "is not an object")]),
    "a key twice": (lines(*ROWS) + b'{"diary_id": "d3", "rating": 1, "rating": -1}\n', 2, 0, [(None, "has a key twice")]),
    "lines nested deeply": (lines(*ROWS) + b'{"diary_id": ' + b"[" * 100_000 + b"\n", 2, 0, [(None, "is JSON nested too deeply")]),
    "lines with a huge number": (lines(*ROWS) + b'{"diary_id": "d3", "rating": ' + b"9" * 5_000 + b"}\n", 2, 0, [(None, "has a number of too many digits")]),
    "JSON of mixed types": (lines(*ROWS, {"diary_id": 3, "rating": "1"}, {"diary_id": True, "rating": 1}, {"diary_id": "d3", "rating": True},
                                  {"diary_id": ["d3"], "rating": 1}, {"diary_id": "d3", "rating": {"value": 1}}, {"diary_id": 1.5, "rating": 1}), 2, 0,
                            [("diary_id", "no such diary"), ("diary_id", "is neither"), ("rating", "is neither"), ("diary_id", "is neither"), ("rating", "is neither"), ("diary_id", "no such diary")]),
    "JSON's NaN": (b'[{"diary_id": "d1", "rating": NaN}, {"diary_id": "d2", "rating": -Infinity}, {"diary_id": "d3", "rating": 1}]', 1, 0, [("rating", "was not rated"), ("rating", "is not one of")]),
    "whole numbers beyond 64 bits": (lines(*ROWS, {"diary_id": 10**30, "rating": 10**30}), 2, 0, [("rating", "is not one of")]),
    "half a character": (b'{"diary_id": "x1", "rating": 1, "text": "\\ud83d \\u0000"}\n{"diary_id": "x2", "rating": 1, "text": "\\ud83d"}\n', 1, 0, [("text", "holds a control")]),
    "a list of no objects": (b"[1, 2]", 0, 0, [(None, "is not an object: write {…}")] * 2),
    "Argilla without its status": (lines({"id": "d1", "fields": {}, "responses": {"rating": []}}), 0, 0, [(None, "is an Argilla export without the responses' status")]),
    "a list of wrong things": (json.dumps([*ROWS, [], "x", None]).encode(), 2, 0, [(None, "is not an object")] * 3),
    "Label Studio, wrongly nested": (json.dumps([{"id": 1, "data": "x", "annotations": []}, {"id": 2, "data": {"diary_id": "d1"}, "annotations": {"result": []}},
                                                 {"id": 3, "data": {"diary_id": "d1"}, "annotations": [None, {"result": [None]}, {"completed_by": [1], "result": [{"type": "rating", "value": {"rating": 1}}]},
                                                  {"result": [{"type": "rating", "value": 1}]}, {"completed_by": 2, "result": [{"type": "number", "value": {"number": 1}}]}]}]).encode(), 1, 0,
                                     [(None, "is not a task"), (None, "is not a task"), (None, "is not an annotation"), ("rating", "is not a list of results"), ("rater_id", "is neither"), ("rating", "was not rated")]),
    "Label Studio, all cancelled but one": (json.dumps([{"id": n, "data": {"diary_id": f"d{n}"}, "annotations": [{"completed_by": 1, "was_cancelled": n > 1, "result": [{"type": "rating", "value": {"rating": 1}}]}]} for n in (1, 2, 3)]).encode(), 1, 0,
                                            [("rating", "was cancelled by its annotator")] * 2),
    "Argilla, of unequal lists": (lines({"id": "d1", "rating.responses": [1, 0], "rating.responses.users": ["a"], "rating.responses.status": ["submitted"] * 2},
                                        {"id": "d2", "rating.responses": 1, "rating.responses.users": "a", "rating.responses.status": "submitted"},
                                        {"id": "d3", "rating.responses": [1], "rating.responses.users": ["a"], "rating.responses.status": ["submitted"]}), 1, 0, [(None, "does not tell every response")] * 2),
    "a workbook with everything in it": (workbook([HEADER, ["d1", "a", 1], ["d2", True, 0], ["d3", "a", True], ["d4", "a", "=1"], ["d5", "a", 0.30000000000000004], [7, "a", 1], ["../d1", "a", 1]]), 2, 0,
                                         [("rating", "is not a number"), ("rating", "is not a number"), ("rating", "is not one of"), ("diary_id", "no such diary"), ("diary_id", "is a path")]),
    "errors in a workbook's cells": (workbook(xlsx_rows([HEADER, ["d1", "a", 1]]) + '<row><c t="inlineStr"><is><t>d2</t></is></c><c t="e"><v>#REF!</v></c><c t="e"><v>#N/A</v></c></row>'), 1, 0, [("rating", "was not rated")]),
    "Parquet of lists and objects": (parquet(diary_id=[["d1"], ["d2"]]), 0, 0, [("diary_id", "is neither text nor a number")] * 2),
    "Parquet of structs": (parquet(rating=[{"value": 1}, {"value": 0}]), 0, 0, [("rating", "is neither text nor a number")] * 2),
    "Parquet of booleans and nothing": (parquet(rating=[True, None]), 0, 0, [("rating", "is neither"), ("rating", "was not rated")]),
    "Parquet with NaN and infinities": (parquet(rating=[float("nan"), float("inf")]), 0, 0, [("rating", "was not rated"), ("rating", "is not one of")]),
    "Parquet of bytes": (parquet(rater_id=[b"\xff\xfe", b"a"]), 0, 0, [("rater_id", "is neither text nor a number")] * 2),
}  # fmt: skip


def take(path: Path, content: bytes):
    path.write_bytes(content)
    return rating_files.read(path, KNOWN)


def one_line(error: InputError, path: Path) -> str:
    said = str(error)
    assert said.startswith(str(path)) and len(said) < 600 and "\n" not in said and "Traceback" not in said
    return said


def account(found) -> None:
    """Every row is a rating, a repetition or set aside, and what is handed on is valid."""
    assert found.ratings.height + found.n_repeated + found.quarantine.height == found.n_rows
    check(found.ratings, RATINGS, "")
    check(found.diaries, DIARIES, "")
    assert found.quarantine.select("file", "row", "reason").null_count().sum_horizontal().item() == 0
    assert (found.quarantine["value"].drop_nulls().str.len_chars() <= 80).all()


def test_there_are_many():
    assert len(REFUSED) + len(PARTLY) >= 60


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, name):
    content, said = REFUSED[name]
    with pytest.raises(InputError) as error:
        take(tmp_path / "ratings", content)
    assert said in one_line(error.value, tmp_path / "ratings")


@pytest.mark.parametrize("name", PARTLY)
def test_of_a_file_with_bad_rows_the_good_ones_are_taken_and_none_is_lost(tmp_path, name):
    content, n_ratings, n_repeated, aside = PARTLY[name]
    found = take(tmp_path / "ratings", content)
    account(found)
    told = found.quarantine.select("field", "reason").rows()
    assert [(field, reason[: len(expected[1])]) for (field, reason), expected in zip(told, aside, strict=True)] == aside
    assert (found.ratings.height, found.n_repeated) == (n_ratings, n_repeated)


@pytest.mark.parametrize("seed", range(40))
def test_bytes_that_changed_on_their_way_break_nothing(tmp_path, seed):
    whole = [GOOD.encode(), json.dumps(ROWS).encode(), lines(*ROWS), parquet()][seed % 4]
    try:
        account(take(tmp_path / "ratings", flipped(whole, seed)))
    except InputError as error:
        one_line(error, tmp_path / "ratings")

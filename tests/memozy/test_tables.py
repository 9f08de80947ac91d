import json
import zipfile

import polars as pl
import pytest

from memozy import tables
from memozy.records import InputError

SHEET = """<?xml version="1.0" encoding="UTF-8"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"""
XLSX_PARTS = {
    "[Content_Types].xml": """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>""",
    "_rels/.rels": """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Target="xl/workbook.xml"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>""",
    "xl/workbook.xml": """<?xml version="1.0" encoding="UTF-8"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>""",
    "xl/_rels/workbook.xml.rels": """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Target="worksheets/sheet1.xml"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/></Relationships>""",
}


def write_xlsx(path, rows):
    """A workbook as a spreadsheet program writes it: text in inline strings, numbers as numbers."""

    def cell(value):
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    sheet = SHEET.format(rows="".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows))
    with zipfile.ZipFile(path, "w") as file:
        for name, text in {**XLSX_PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            file.writestr(name, text)


def rows_of(path):
    return [(r["diary_id"], r["rater_id"], r["rating"]) for r in tables.read_ratings(path)]


def test_every_format_gives_the_same_ratings(tmp_path):
    rows = [{"diary_id": "007", "rater_id": "NA", "rating": "0.5"}, {"diary_id": "d2", "rater_id": "", "rating": "-1"}]
    (tmp_path / "a.csv").write_bytes("\ufeffdiary_id,rater_id,rating\r\n007,NA,0.5\r\n\r\nd2,,-1\r\n".encode())
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8-sig")
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    write_xlsx(tmp_path / "a.xlsx", [["diary_id", "rater_id", "rating"], ["007", "NA", 0.5], ["d2", "", -1]])
    for suffix in tables.FORMATS:
        assert rows_of(tmp_path / f"a{suffix}") == [("007", "NA", "0.5"), ("d2", "rater-1", "-1")], suffix


def test_an_image_is_a_context(tmp_path):
    (tmp_path / "a.csv").write_text("diary_id,image_id,rating\nd1,001.jpg,1\n", encoding="utf-8")
    assert tables.read_ratings(tmp_path / "a.csv")[0]["context_id"] == "001.jpg"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "holds no rows"),
        ("a.csv", b"diary_id,rating\n", "holds no rows"),
        ("a.csv", b"diary_id,score\nd1,1\n", "field 'rating': column is missing. The file has: diary_id, score"),
        ("a.csv", b"diary_id,rating\nd1,1\nd2,0,5\n", "row 2, value ['5']: has more fields than the header"),
        ("a.csv", b'diary_id,rating\nd1,"1\n', "row 1: is not CSV"),
        ("a.csv", "diary_id,rating\n가,1\n".encode("cp949"), "is not UTF-8 (byte 16)"),
        ("a.jsonl", b'{"diary_id": 1}\n\n{oops\n', "row 2, value '{oops': is not JSON"),
        ("a.jsonl", b"[1]\n", "row 1, value [1]: is not an object"),
        ("a.json", b'{"diary_id": 1}', "is not a list"),
        ("a.json", b"[1,", "is not JSON"),
        ("a.xlsx", b"hello", "cannot be read"),
        ("a.parquet", b"hello", "cannot be read"),
        ("a.txt", b"hello", "is of an unknown format"),
    ],
)  # fmt: skip
def test_an_unreadable_file_is_named_in_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        tables.read_ratings(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        tables.read_ratings(tmp_path / "nowhere.csv")

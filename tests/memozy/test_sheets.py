"""Sheets as a spreadsheet program and polars see them."""

import csv
import zipfile
from xml.etree import ElementTree

import polars as pl
import pytest

from memozy.records import InputError
from memozy.sheets import inert, write, write_all

TEXTS = ["=1+1", '첫 줄\n둘째, "줄"', " <&> _x0041_ ", "\x01\r끝", "0012", "＠SUM(1)", "TRUE"]
ROWS = [{"diary_id": f"d{n}", "text": text, "rating": "", "prompt_id": "A"} for n, text in enumerate(TEXTS)]
COLUMNS = ("diary_id", "text", "rating")


@pytest.mark.parametrize(
    "value", ["=1", "+1", "-", "@a", " =1", "\t=1", "＝1", "0012", "1-2", "2026/1/3", "1e5", "12:30", "50%", "true"]
)
def test_what_a_program_would_calculate_is_text_and_strips_to_itself(value):
    assert inert(value) == "\xa0" + value and inert(value).strip() == value.strip()


@pytest.mark.parametrize("value", ["", "오늘 = 내일", "d12", "001.jpg", "3시에 갔다", "…"])
def test_other_cells_stay_as_they_are(value):
    assert inert(value) == value
    assert inert(None) == ""


def test_csv_begins_with_a_bom_and_strips_to_what_was_written(tmp_path):
    write(tmp_path / "s.csv", COLUMNS, ROWS)
    assert (tmp_path / "s.csv").read_bytes().startswith(b"\xef\xbb\xbfdiary_id,text,rating\r\n")
    with open(tmp_path / "s.csv", encoding="utf-8-sig", newline="") as file:
        assert [row["text"].strip() for row in csv.DictReader(file)] == [text.strip() for text in TEXTS]


def test_xlsx_holds_what_was_written_and_offers_the_levels(tmp_path):
    write(tmp_path / "s.xlsx", COLUMNS, ROWS)
    found = pl.read_excel(tmp_path / "s.xlsx", infer_schema_length=0)
    assert found.columns == list(COLUMNS) and found["text"].to_list() == TEXTS
    with zipfile.ZipFile(tmp_path / "s.xlsx") as book:
        parts = {name: ElementTree.fromstring(book.read(name)) for name in book.namelist()}
    sheet, space = parts["xl/worksheets/sheet1.xml"], {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    assert not sheet.findall(".//m:f", space)  # no formula anywhere
    [choices] = sheet.findall(".//m:dataValidation", space)
    assert choices.get("sqref") == "C2:C8" and choices[0].text == '"-1,-0.5,0,0.5,1"'
    write(tmp_path / "again.xlsx", COLUMNS, ROWS)
    assert (tmp_path / "again.xlsx").read_bytes() == (tmp_path / "s.xlsx").read_bytes()


def test_a_sheet_is_never_written_over_nor_cut(tmp_path):
    write(tmp_path / "s.csv", COLUMNS, ROWS)
    with pytest.raises(InputError, match="s.csv: exists already"):
        write(tmp_path / "s.csv", COLUMNS, [])
    with pytest.raises(InputError, match=r"row 1, field 'text', .*has 40,000 characters"):
        write(tmp_path / "long.csv", COLUMNS, [{"text": "가" * 40_000}])
    with pytest.raises(InputError, match="unknown format"):
        write(tmp_path / "s.ods", COLUMNS, ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


def test_of_several_sheets_none_stays_where_one_cannot_be_written(tmp_path):
    (tmp_path / "file.csv").write_text("")
    with pytest.raises(InputError, match=r"x.csv: cannot be written"):
        write_all({tmp_path / "s.csv": (COLUMNS, ROWS), tmp_path / "file.csv/x.csv": (COLUMNS, ROWS)})
    assert [path.name for path in tmp_path.iterdir()] == ["file.csv"]

"""Sheets that people fill in: what a spreadsheet program shows as it is, and hands back as it was.

A program that opens a CSV file calculates what begins like a formula and takes `0012` or `1-2` for a number or a
date. Such a cell gets a no-break space in front: it is text then, nobody sees the space, and whoever reads the sheet
strips it as every other white space around ids and texts. Cells of XLSX say themselves that they are text.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from memozy.records import RATING_LEVELS, InputError

FORMATS = (".csv", ".xlsx")
LONGEST = 32_767  # characters in a cell, says Microsoft; more are cut off without a word
SHIELD = "\N{NO-BREAK SPACE}"
WIDTHS = {"text": 90, "rating": 10}  # of columns, in characters; others 16
RATING = "rating"  # the column that people fill in

_FORMULA = "[=+@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}-]"
_CALCULATED = re.compile(rf"\s*{_FORMULA}")
_NUMERIC = re.compile(r"[\d.,:/%eE+\s-]*|true|false", re.IGNORECASE)
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")  # in XML, as Excel writes it


def inert(value: str | None) -> str:
    """A cell of CSV that no spreadsheet program takes for a formula, a number or a date; stripped, it is `value` stripped."""
    value = value or ""
    return SHIELD + value if _CALCULATED.match(value) or (value and _NUMERIC.fullmatch(value)) else value


def refuse(path: Path) -> None:
    """Raise InputError for a name of another format than FORMATS, and for a file that exists: it may be filled in."""
    if path.suffix.lower() not in FORMATS:
        raise InputError("is of an unknown format", file=path, value=path.suffix, remedy=f"Known: {', '.join(FORMATS)}")
    if os.path.lexists(path):
        raise InputError("exists already", file=path, remedy="It may be filled in: give another name or remove it")


def write(path: Path, columns: Sequence[str], rows: Iterable[dict]) -> None:
    """A sheet of texts with a heading, CSV or XLSX as `path` is named; other keys of the rows are left out.

    CSV has a BOM, so that spreadsheet programs read its Korean. XLSX offers the rating levels to choose from.
    Raises InputError for what `refuse` refuses, for a text too long for a cell, and where nothing can be written.
    """
    write_all({path: (columns, rows)})


def write_all(tables: Mapping[Path, tuple[Sequence[str], Iterable[dict]]]) -> None:
    """Several sheets, each as `write` writes it, or none of them."""
    contents = {path: _content(path, columns, rows) for path, (columns, rows) in tables.items()}
    made: list[Path] = []
    for path, content in contents.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "xb") as file:
                made.append(path)
                file.write(content)
        except OSError as error:
            for each in made:
                each.unlink()
            raise InputError(
                f"cannot be written ({error.strerror})", file=path, remedy="Give another name or folder"
            ) from None


def _content(path: Path, columns: Sequence[str], rows: Iterable[dict]) -> bytes:
    refuse(path)
    cells = [[str(row.get(column) or "") for column in columns] for row in rows]
    for number, row in enumerate(cells, start=1):
        for column, value in zip(columns, row, strict=True):
            if len(value) >= LONGEST:
                raise InputError(f"has {len(value):,} characters", file=path, row=number, field=column, value=value,
                                 remedy=f"A cell holds less than {LONGEST:,}; leave the row out")  # fmt: skip
    return _csv(columns, cells) if path.suffix.lower() == ".csv" else _xlsx(columns, cells)


def _csv(columns: Sequence[str], rows: list[list[str]]) -> bytes:
    written = io.StringIO(newline="")
    table = csv.writer(written)
    table.writerow(columns)
    table.writerows([inert(value) for value in row] for row in rows)
    return written.getvalue().encode("utf-8-sig")


def _xlsx(columns: Sequence[str], rows: list[list[str]]) -> bytes:
    """The least that ECMA-376 calls a workbook, with a frozen heading and a list to choose a rating from."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    lines = [_row(1, columns, style=1)] + [_row(n, row, style=2) for n, row in enumerate(rows, start=2)]
    widths = [
        f'<col min="{n}" max="{n}" width="{WIDTHS.get(c, 16)}" customWidth="1"/>'
        for n, c in enumerate(columns, start=1)
    ]
    choices = ""
    if RATING in columns and rows:
        at = _letters(columns.index(RATING))
        levels = ",".join(f"{level:g}" for level in RATING_LEVELS)
        choices = (f'<dataValidations count="1"><dataValidation type="list" allowBlank="1" showErrorMessage="1" '
                   f'sqref="{at}2:{at}{len(rows) + 1}"><formula1>"{levels}"</formula1></dataValidation></dataValidations>')  # fmt: skip
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">'
        '<sheets><sheet name="to rate" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        # styles 1 and 2: a bold heading; text (format 49) that wraps and stays text when someone edits it
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
        '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        '<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
        '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
        '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" quotePrefix="1" applyAlignment="1">'
        '<alignment vertical="top" wrapText="1"/></xf></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f"<cols>{''.join(widths)}</cols><sheetData>{''.join(lines)}</sheetData>{choices}</worksheet>",
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as book:
        for name, xml in parts.items():  # a ZipInfo of its own has no date, so the same rows give the same bytes
            book.writestr(
                zipfile.ZipInfo(name),
                f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{xml}',
                zipfile.ZIP_DEFLATED,
            )
    return written.getvalue()


def _row(number: int, values: Sequence[str], style: int) -> str:
    cells = [
        f'<c r="{_letters(n)}{number}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{_xml(value)}</t></is></c>'
        for n, value in enumerate(values)
        if value
    ]
    return f'<row r="{number}">{"".join(cells)}</row>'


def _xml(value: str) -> str:
    return escape(_UNSPEAKABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", value))


def _letters(column: int) -> str:
    return (_letters(column // 26 - 1) if column >= 26 else "") + chr(ord("A") + column % 26)

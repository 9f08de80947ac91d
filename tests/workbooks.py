"""Workbooks as spreadsheet programs write them, small enough to be read here: XLSX and ODS."""

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

SHEET = """<?xml version="1.0" encoding="UTF-8"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"""
TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>{sheets}</Types>"""
SHEET_TYPE = """<Override PartName="/xl/worksheets/sheet{n}.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>"""
RELATIONS = """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{links}</Relationships>"""
LINK = """<Relationship Id="r{n}" Target="{target}"
 Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}"/>"""
BOOK = """<?xml version="1.0" encoding="UTF-8"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{sheets}</sheets></workbook>"""
ODS = """<?xml version="1.0" encoding="UTF-8"?>
<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 office:version="1.3"><office:body><office:spreadsheet><table:table table:name="a">{rows}</table:table></office:spreadsheet>
</office:body></office:document-content>"""


def xlsx_rows(rows: list[list]) -> str:
    """Text in inline strings, numbers as numbers, True and False as what Excel calls them."""

    def cell(value: object) -> str:
        if value is None:
            return "<c/>"
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
        return f'<c t="b"><v>{value:d}</v></c>' if isinstance(value, bool) else f"<c><v>{value}</v></c>"

    return "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)


def write_xlsx(path: Path, *sheets: list[list] | str) -> Path:
    """A workbook of these sheets, each given by its rows or by the XML of them."""
    numbers = range(1, len(sheets) + 1)
    links = "".join(LINK.format(n=n, target=f"worksheets/sheet{n}.xml", kind="worksheet") for n in numbers)
    parts = {
        "[Content_Types].xml": TYPES.format(sheets="".join(SHEET_TYPE.format(n=n) for n in numbers)),
        "_rels/.rels": RELATIONS.format(links=LINK.format(n=1, target="xl/workbook.xml", kind="officeDocument")),
        "xl/workbook.xml": BOOK.format(
            sheets="".join(f'<sheet name="s{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
        ),
        "xl/_rels/workbook.xml.rels": RELATIONS.format(links=links),
    }
    for n, sheet in zip(numbers, sheets, strict=True):
        rows = sheet if isinstance(sheet, str) else xlsx_rows(sheet)
        parts[f"xl/worksheets/sheet{n}.xml"] = SHEET.format(rows=rows)
    return _zip(path, parts)


def write_ods(path: Path, rows: list[list] | str) -> Path:
    def cell(value: object) -> str:
        if isinstance(value, str):
            return f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'
        return f'<table:table-cell office:value-type="float" office:value="{value}"/>'

    if not isinstance(rows, str):
        rows = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    return _zip(path, {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "content.xml": ODS.format(rows=rows),
        "META-INF/manifest.xml": '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
    })  # fmt: skip


def _zip(path: Path, parts: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in parts.items():
            file.writestr(name, text)
    return path

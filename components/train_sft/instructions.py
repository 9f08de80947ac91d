"""Instruction data as people hand it in: English or Korean columns, or one text in sections, to one kind of row."""

import re
from dataclasses import dataclass
from pathlib import Path

from memozy import tables
from memozy.records import InputError
from memozy.texts import clean

COLUMNS = {"지시사항": "instruction", "입력": "input", "출력": "output", "텍스트": "text"}
NAMES = tuple(COLUMNS.values())
_HEADING = re.compile(r"^[ \t]*###[ \t]*(지시사항|입력|출력|instruction|input|output)[ \t]*:?[ \t]*", re.I | re.M)
_INLINE = re.compile(r"###[ \t]*(지시사항|입력|출력|instruction|input|output)[ \t]*:[ \t]*", re.I)


@dataclass(frozen=True)
class Row:
    """number: its place in the file, from 1; headers and blank lines are not counted."""

    number: int
    instruction: str
    input: str
    output: str

    @property
    def query(self) -> str:
        """What the model is asked: the instruction, and its input on a line of its own where there is one."""
        return f"{self.instruction}\n{self.input}" if self.input else self.instruction


@dataclass(frozen=True)
class Fault:
    """Why a row is set aside."""

    row: int
    field: str
    value: str
    reason: str


def read(file: str) -> tuple[list[Row], list[Fault]]:
    """The rows of a JSONL, CSV, JSON, XLSX or Parquet file, texts cleaned, and what could not be read as one.

    A row gives `instruction`, `input` (which may be left out) and `output`, or `text` with the three in sections
    («### 지시사항: … ### 입력: … ### 출력: …»), or both, which must agree; each also by its Korean name.
    Raises InputError for a file that is missing, unreadable or empty, or has none of these columns.
    """
    path = Path(file)
    if not path.is_file():
        raise InputError("no such file", file=path, remedy="It should hold instruction data")
    table = tables.read(path, [*COLUMNS, *NAMES])
    if not table.n_rows:
        raise InputError("holds no rows", file=path, remedy="It should hold instruction data")
    columns = {COLUMNS.get(name, name) for name in table.columns}
    if not ({"instruction", "output"} <= columns or "text" in columns):
        raise InputError("columns are missing", file=path, value=", ".join(table.columns),
                         remedy="Give instruction and output (지시사항, 출력), or text (텍스트)")  # fmt: skip
    unread = {row: Fault(row, field or "", value or "", reason) for row, field, value, reason in table.faults.reverse().iter_rows()}
    rows, faults = [], []
    for number, values in enumerate(table.rows.iter_rows(named=True), start=1):
        found = unread.get(number) or _row(number, values)
        (faults if isinstance(found, Fault) else rows).append(found)
    return rows, faults


def sections(text: str) -> dict[str, str]:
    """What stands below «### 지시사항:», «### 입력:» and «### 출력:», by the columns' names; none of it where a heading repeats."""
    heading = _HEADING if len(_HEADING.findall(text)) > 1 else _INLINE
    found = list(heading.finditer(text))
    names = [COLUMNS.get(m[1], m[1].lower()) for m in found]
    if not found or len(set(names)) < len(names) or text[: found[0].start()].strip():
        return {}
    ends = [m.start() for m in found[1:]] + [len(text)]
    return {name: clean(text[m.end() : end]) for name, m, end in zip(names, found, ends, strict=True)}


def _row(number: int, values: dict[str, str | None]) -> Row | Fault:
    given: dict[str, str] = {}
    for column, value in values.items():
        name = COLUMNS.get(column, column)
        if value is None or not clean(value):
            continue
        if given.get(name, clean(value)) != clean(value):
            return Fault(number, column, value, f"says something else than '{name}'")
        given[name] = clean(value)
    text = given.pop("text", "")
    parts = sections(text)
    if text and not {"instruction", "output"} <= parts.keys():
        return Fault(
            number, "text", text, "has no sections «### 지시사항:» and «### 출력:», each once and from the start"
        )
    for name, part in parts.items():
        if name in given and given[name] != part:
            return Fault(number, name, given[name], "differs from what stands in 'text'")
    whole = {"input": ""} | given | parts
    for name in ("instruction", "output"):
        if not whole.get(name):
            return Fault(number, name, whole.get(name, ""), "is empty")
    return Row(number, whole["instruction"], whole["input"], whole["output"])

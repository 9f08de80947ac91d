import csv
import json

import pytest

from components.train_sft.instructions import Row, read, sections
from memozy.records import InputError


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_columns_in_english_and_korean_are_the_same_rows(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"instruction": " 써 줘. ", "input": "바다", "output": "파도"},
                 {"지시사항": "써 줘.", "입력": "바다", "출력": "파도"}, {"지시사항": "써 줘.", "출력": "파도"})  # fmt: skip
    rows, faults = read(file)
    assert rows == [Row(1, "써 줘.", "바다", "파도"), Row(2, "써 줘.", "바다", "파도"), Row(3, "써 줘.", "", "파도")]
    assert [r.query for r in rows[1:]] == ["써 줘.\n바다", "써 줘."] and not faults


def test_a_csv_with_a_text_beside_its_columns(tmp_path):
    whole = "### 지시사항: 써 줘. ### 입력: 바다 ### 출력: 파도"
    table = [["지시사항", "입력", "출력", "텍스트"], ["써 줘.", "바다", "파도", whole], ["써 줘.", "바다", "산", whole],
             ["", "", "", whole], ["써 줘.", "", "", ""], ["써 줘.", "", "파도", "아무 말"]]  # fmt: skip
    with open(tmp_path / "a.csv", "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(table)
    rows, faults = read(str(tmp_path / "a.csv"))
    assert rows == [Row(1, "써 줘.", "바다", "파도"), Row(3, "써 줘.", "바다", "파도")]
    assert [(f.row, f.field, f.value) for f in faults] == [
        (2, "output", "산"),
        (4, "output", ""),
        (5, "text", "아무 말"),
    ]
    assert faults[0].reason == "differs from what stands in 'text'" and faults[1].reason == "is empty"


@pytest.mark.parametrize(
    "text, found",
    [
        ("### 지시사항: 써 줘.\n### 입력:\n### 출력: 파도", {"instruction": "써 줘.", "input": "", "output": "파도"}),
        (
            "### Instruction:\n써 줘.\n\n### Output:\n1. ### 입력: 은 제목\n2.",
            {"instruction": "써 줘.", "output": "1. ### 입력: 은 제목\n2."},
        ),
        ("### 지시사항: a ### 출력: b ### 출력: c", {}),
        ("앞말 ### 지시사항: a ### 출력: b", {}),
        ("파도", {}),
    ],
)
def test_sections_of_a_text(text, found):
    assert sections(text) == found


def test_what_is_no_text_is_set_aside_and_what_has_no_columns_refused(tmp_path):
    rows, faults = read(jsonl(tmp_path / "a.jsonl", {"instruction": "a", "output": [3]}, {"instruction": " ", "output": "b"},
                              {"instruction": "a", "지시사항": "b", "output": "c"}, {"instruction": "a", "output": "c"}))  # fmt: skip
    assert [(f.row, f.field, f.reason) for f in faults] == [
        (1, "output", "is neither text nor a number"), (2, "instruction", "is empty"), (3, "지시사항", "says something else than 'instruction'"),
    ]  # fmt: skip
    assert rows == [Row(4, "a", "", "c")]
    with pytest.raises(InputError, match="columns are missing.*Give instruction and output"):
        read(jsonl(tmp_path / "b.jsonl", {"question": "a", "answer": "b"}))
    with pytest.raises(InputError, match="no such file"):
        read(str(tmp_path / "none.jsonl"))

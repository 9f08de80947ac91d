import csv

import pytest

from components.evaluate_prompts.sheet import read_sheets, write_sheets
from memozy.records import InputError

ITEM = {"place": "해운대", "people": "친구", "mood": "기쁨", "photo": None, "text": "첫 줄\n=둘째, 줄", "rating": ""}


@pytest.fixture
def sheets(tmp_path):
    items = [ITEM | {"diary_id": i, "rater_id": r} for i, r in (("b2", "kim"), ("a1", "kim"), ("a1", "lee"))]
    write_sheets(items, tmp_path / "to_rate")
    return tmp_path / "to_rate"


def filled(path, **ratings):
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["rating"] = ratings.get(row["diary_id"], "")
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def test_every_rater_has_a_sheet_and_they_come_back_together(sheets):
    assert sorted(p.name for p in sheets.iterdir()) == ["kim.csv", "lee.csv"]
    with open(sheets / "kim.csv", encoding="utf-8-sig", newline="") as file:
        assert [(r["diary_id"], r["text"]) for r in csv.DictReader(file)] == [("a1", ITEM["text"]), ("b2", ITEM["text"])]
    filled(sheets / "kim.csv", a1="0.5", b2="-1")
    filled(sheets / "lee.csv", a1="1")
    both = {("a1", "kim"): 0.5, ("b2", "kim"): -1.0, ("a1", "lee"): 1.0}
    assert read_sheets(str(sheets), {"a1", "b2"}) == both
    assert read_sheets(str(sheets / "lee.csv"), {"a1", "b2"}) == {("a1", "lee"): 1.0}


def test_no_cell_is_a_formula(tmp_path):
    write_sheets([ITEM | {"diary_id": "a", "rater_id": "kim", "text": "=1+1", "place": "＠SUM(1)"}], tmp_path)
    with open(tmp_path / "kim.csv", encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["text"] == "\xa0=1+1" and row["place"] == "\xa0＠SUM(1)"


def test_what_cannot_be_taken_is_said_with_its_place(sheets):
    with pytest.raises(InputError, match="holds no ratings"):
        read_sheets(str(sheets), {"a1", "b2"})
    filled(sheets / "kim.csv", a1="0.7")
    with pytest.raises(InputError, match=r"kim.csv, row 1, field 'rating', value '0.7': is not a rating. Allowed: -1, -0.5"):
        read_sheets(str(sheets), {"a1", "b2"})
    filled(sheets / "kim.csv", b2="1")
    with pytest.raises(InputError, match=r"row 2, field 'diary_id', value 'b2': was not asked for"):
        read_sheets(str(sheets), {"a1"})
    (sheets / "kim2.csv").write_text("diary_id,rater_id,rating\na1,kim,1\na1,kim,-1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"kim2.csv, row 2, field 'diary_id', value 'a1': has another rating by the same rater"):
        read_sheets(str(sheets), {"a1", "b2"})
    (sheets / "kim2.csv").write_text("diary_id,rater_id,rating\na1,,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"field 'rater_id': is empty. Say who rated"):
        read_sheets(str(sheets), {"a1", "b2"})
    with pytest.raises(InputError, match="no such file"):
        read_sheets(str(sheets / "nothing.csv"), {"a1"})

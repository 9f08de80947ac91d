"""Sheets, filled in as people do, and taken in by the stage that takes ratings in."""

import csv
import zipfile

import polars as pl
import pytest
from typer.testing import CliRunner

from memozy import records, stages
from memozy.sheets import write
from pipelines.commands.ratings import app

TEXTS = ["=1+1은 2", "- 오늘은\n맑음", "0012", '쉼표, "따옴표"', "바다에 갔다.", "산에 갔다.", "＠집", "끝"]
DIARIES = [{"diary_id": f"d{n:03d}", "context_id": f"c{n // 2}", "image_id": None, "prompt_id": "secret-prompt", "generator": "secret-model",
            "text": text, "cost_usd": 0.0, "created_at": "x"} for n, text in enumerate(TEXTS)]  # fmt: skip
CONTEXTS = [{"context_id": f"c{n}", "place": "해운대", "people": "친구", "mood": "기쁨"} for n in range(4)]


def template(*arguments):
    return CliRunner().invoke(app, ["template", *map(str, arguments)])


def sheet(path):
    """The rows of a sheet, as text."""
    if path.suffix == ".xlsx":
        return [{k: v or "" for k, v in row.items()} for row in pl.read_excel(path, infer_schema_length=0).to_dicts()]
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill_in(path, ratings):
    """What a rater sends back: the same cells, and a rating in each row."""
    rows = [{**row, "rating": ratings[row["diary_id"].strip()]} for row in sheet(path)]
    path.unlink()
    if path.suffix == ".xlsx":
        return write(path, list(rows[0]), rows)
    with open(path, "w", encoding="cp949", newline="") as file:  # as Korean Excel saves CSV, where it can
        table = csv.DictWriter(file, rows[0], delimiter=";")
        table.writeheader()
        table.writerows({k: v.replace("\xa0", " ") for k, v in row.items()} for row in rows)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@pytest.mark.parametrize("here", [True, False])
def test_sheets_go_out_blinded_and_come_back_as_ratings(table, tmp_path, suffix, here):
    out = tmp_path / "sheets" / f"to_rate{suffix}"
    contexts = table(CONTEXTS, "contexts.jsonl")
    said = template(table(DIARIES), "--out", out, "--contexts", contexts, "--raters", "kim, lee", "--double", "0.25")
    paths = [out.with_stem(f"to_rate-{name}") for name in ("kim", "lee")]
    assert (said.exit_code, said.stdout.split()) == (0, [str(path) for path in paths])
    for path in paths:
        content = zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml") if suffix == ".xlsx" else path.read_bytes()
        assert b"secret" not in content and "해운대".encode() in content
    rows = [row for path in paths for row in sheet(path)]
    assert len(rows) == 10 and len({row["diary_id"] for row in rows}) == 8  # a quarter of eight is rated twice
    assert list(rows[0]) == ["diary_id", "context_id", "rater_id", "place", "people", "mood", "text", "rating"]
    assert {row["diary_id"]: row["text"].strip() for row in rows} == {d["diary_id"]: d["text"] for d in DIARIES}
    if suffix == ".csv":
        assert not any(row["text"][0] in "=-0＠" for row in rows)  # nothing that a spreadsheet program would calculate

    levels = {d["diary_id"]: ("-1", "-0.5", "0", "0.5", "1")[n % 5] for n, d in enumerate(DIARIES)}
    for path in paths:
        fill_in(path, {**levels, "d007": ""})  # nobody came to the last one
    ratings, diaries, aside = import_ratings(tmp_path, out.parent, DIARIES if here else DIARIES[:0])
    rated = {d["diary_id"]: d for d in DIARIES[:7]}
    assert len(ratings) + len(aside) == 10 and {row["reason"] for row in aside} == {"was not rated"}
    assert dict(ratings.select("diary_id", "rating").iter_rows()) == {name: float(levels[name]) for name in rated}
    for column in ("text", "context_id"):
        assert dict(diaries.select("diary_id", column).iter_rows()) == {
            name: row[column] for name, row in rated.items()
        }
    # who wrote a diary of this run is known again
    assert set(diaries["prompt_id"]) == {"secret-prompt" if here else "unknown"}


def import_ratings(folder, place, diaries):
    """(ratings, diaries, quarantine) of the stage, in a run that holds `diaries`."""
    records.write(pl.DataFrame(diaries, schema=records.DIARIES.dtypes), folder / "diaries", records.DIARIES)
    records.write(pl.DataFrame(CONTEXTS), folder / "contexts", records.CONTEXTS)
    inputs = {name: str(folder / name) for name in stages.artifacts("import_ratings", "in")}
    outputs = {name: str(folder / "out" / name) for name in stages.artifacts("import_ratings", "out")}
    stages.execute("import_ratings", {"path": str(place)}, inputs, outputs)
    aside = [row for _, row in records.json_lines(folder / "out/quarantine", "rows")]
    return (
        records.read(outputs["ratings"], records.RATINGS),
        records.read(outputs["rated_diaries"], records.DIARIES),
        aside,
    )


def test_one_sheet_for_someone_unnamed(table, tmp_path):
    diaries = table([{"diary_id": d["diary_id"], "text": d["text"]} for d in DIARIES])
    assert template(diaries, "--out", tmp_path / "s.csv", "--seed", "3").exit_code == 0
    rows = sheet(tmp_path / "s.csv")
    assert list(rows[0]) == ["diary_id", "rater_id", "text", "rating"]
    ids = [row["diary_id"] for row in rows]
    assert sorted(ids) == [d["diary_id"] for d in DIARIES] != ids
    template(diaries, "--out", tmp_path / "other.csv", "--seed", "4")
    assert [row["diary_id"] for row in sheet(tmp_path / "other.csv")] != ids


@pytest.mark.parametrize("arguments, problem", [
    (["--raters", "kim,,lee"], "field '--raters', value '': is empty"), (["--raters", "kim,../lee"], "is no name that a file could have"),
    (["--raters", "kim,kim"], "stands twice"), (["--out", "s.ods"], "is of an unknown format"), (["--contexts", "nothing.jsonl"], "no such file"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_and_nothing_written(table, tmp_path, arguments, problem, monkeypatch):
    diaries = table(DIARIES)
    monkeypatch.chdir(tmp_path)
    said = template(diaries, "--out", "s.csv", *arguments)
    assert said.exit_code == 2 and problem in said.stderr and said.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["diaries.jsonl"]


def test_a_sheet_that_exists_stops_all_of_them(table, tmp_path):
    (tmp_path / "s-lee.csv").write_text("filled in")
    said = template(table(DIARIES), "--out", tmp_path / "s.csv", "--raters", "kim,lee")
    assert said.exit_code == 2 and "s-lee.csv: exists already" in said.stderr
    assert not (tmp_path / "s-kim.csv").exists() and (tmp_path / "s-lee.csv").read_text() == "filled in"


def test_a_text_too_long_for_the_second_sheet_stops_all_of_them(table, tmp_path):
    rows = [{"diary_id": f"d{n}", "text": "글"} for n in range(9)]
    diaries = table(rows)
    template(diaries, "--out", tmp_path / "s.csv", "--raters", "kim,lee", "--double", "0")
    last = sheet(tmp_path / "s-lee.csv")[0]["diary_id"]
    long = [{**row, "text": "가" * 40_000} if row["diary_id"] == last else row for row in rows]
    said = template(table(long), "--out", tmp_path / "new/s.csv", "--raters", "kim,lee", "--double", "0")
    assert said.exit_code == 2 and "s-lee.csv, row 1, field 'text'" in said.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "out", ["diaries.csv/x.csv", "diaries.csv/../new.csv", "/proc/x.csv", f"{'x' * 300}.csv", "link.csv"]
)
def test_where_no_sheet_can_be_written_is_said_in_one_line(table, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "diaries.csv").write_text("diary_id,text\nd1,글\n", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to("nowhere")
    said = template("diaries.csv", "--out", out)
    assert said.exit_code == 2 and said.stderr.count("\n") == 1, said.stderr
    assert "cannot be written" in said.stderr or "exists already" in said.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"diaries.csv", "link.csv"}

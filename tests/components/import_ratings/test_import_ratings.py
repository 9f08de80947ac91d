import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from memozy import records, stages
from memozy.records import SIMULATED, InputError
from microworld.contexts import sample_contexts
from tests.s3 import BUCKET, moto, rclone, s3  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("MEMOZY_SHARED_DATA", ROOT.parent / "shared" / "data"))
OUTS = ("ratings", "rated_diaries", "events", "quarantine")


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """What a refused run leaves is removed with the test's own files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def inputs(tmp_path):
    contexts = [{**c, "image_path": None} for c in sample_contexts(6, seed=3)]
    diaries = [
        {"diary_id": f"d{i}", "context_id": contexts[i % 6]["context_id"], "image_id": f"p{i // 2}", "prompt_id": "p", "generator": "g",
         "text": f"오늘은 {i}번째 날이었다. 바람 소리가 좋았다.", "cost_usd": 0.0, "created_at": "2024-01-01T00:00:00Z"}
        for i in range(12)
    ]  # fmt: skip
    records.write(pl.DataFrame(contexts, schema=records.CONTEXTS.dtypes), tmp_path / "contexts", records.CONTEXTS)
    records.write(pl.DataFrame(diaries, schema=records.DIARIES.dtypes), tmp_path / "diaries", records.DIARIES)
    return {"diaries": str(tmp_path / "diaries"), "contexts": str(tmp_path / "contexts")}


@pytest.fixture
def outputs(tmp_path):
    return {name: str(tmp_path / "out" / name) for name in OUTS}


def csv(tmp_path, *lines):
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(["diary_id,rater_id,rating", *lines]) + "\n", encoding="utf-8")
    return str(path)


def test_the_panel_rates_every_diary_and_says_that_it_is_simulated(inputs, outputs):
    result = stages.execute("import_ratings", {"double_rated": 1.0}, inputs, outputs)
    ratings = records.read(outputs["ratings"], records.RATINGS)
    assert ratings.height == 24
    assert set(ratings["source"]) == {SIMULATED}
    assert records.read(outputs["rated_diaries"], records.DIARIES).equals(
        records.read(inputs["diaries"], records.DIARIES)
    )
    assert result.metrics["n_simulated"] == result.metrics["n_ratings"] == 24


def test_a_file_rates_the_diaries_it_names(inputs, outputs, tmp_path):
    path = csv(tmp_path, "d3,a,0.5", "d3,b,-0.5", "d7,a,1", "d7,a,1")
    result = stages.execute("import_ratings", {"path": path}, inputs, outputs)
    ratings = records.read(outputs["ratings"], records.RATINGS)
    assert ratings.select("diary_id", "rater_id", "rating", "source").rows() == [
        ("d3", "a", 0.5, "ratings.csv"), ("d3", "b", -0.5, "ratings.csv"), ("d7", "a", 1.0, "ratings.csv"),
    ]  # fmt: skip
    rated = records.read(outputs["rated_diaries"], records.DIARIES)
    assert rated.select("diary_id", "image_id").rows() == [("d3", "p1"), ("d7", "p3")]
    assert result.metrics == {
        "n_ratings": 3, "n_diaries": 2, "n_raters": 2, "n_simulated": 0, "n_repeated": 1, "n_quarantined": 0, "n_unrated": 0, "n_events": 0,
    }  # fmt: skip


def test_bad_rows_up_to_the_allowed_share_are_set_aside(inputs, outputs, tmp_path):
    path = csv(tmp_path, "d1,a,1", "d2,a,0.7", "d3,a,0", "d99,a,0")
    config = {"path": path, "max_quarantined": 0.5}
    assert stages.execute("import_ratings", config, inputs, outputs).metrics["n_quarantined"] == 2
    aside = [json.loads(line) for line in Path(outputs["quarantine"]).read_text(encoding="utf-8").splitlines()]
    assert [(q["row"], q["field"], q["value"]) for q in aside] == [(2, "rating", "0.7"), (4, "diary_id", "d99")]
    with pytest.raises(InputError, match=r"row 2, field 'rating', value '0\.7'.*Bad rows: 2 of 4"):
        stages.execute("import_ratings", {**config, "max_quarantined": 0.49}, inputs, outputs)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["d1,a,1", "d2,a,0.7"], "row 2, field 'rating', value '0.7': is not one of -1, -0.5, 0, 0.5, 1. Bad rows: 1 of 2"),
        (["d1,a,NaN"], "row 1, field 'rating', value 'NaN': is not one of"),
        (["d1,a,1", "d1,a,-1"], "row 1, field 'rating', value '1': rater 'a' contradicts themselves"),
        (["d1,a,1", "d44,a,1"], "row 2, field 'diary_id', value 'd44': no such diary"),
        ([], "holds no rows"),
    ],
)  # fmt: skip
def test_a_bad_file_stops_the_run_and_leaves_nothing(inputs, outputs, tmp_path, lines, said):
    path = csv(tmp_path, *lines)
    with pytest.raises(InputError) as error:
        stages.execute("import_ratings", {"path": path}, inputs, outputs)
    assert str(error.value).startswith(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(Path(out).exists() for out in outputs.values())


def test_no_valid_row_is_refused_whatever_is_allowed(inputs, outputs, tmp_path):
    with pytest.raises(InputError, match="Bad rows: 1 of 1, all in .*; mend them, or explain other marks in import_ratings.scale$"):
        config = {"path": csv(tmp_path, "d1,a,2"), "max_quarantined": 1.0}
        stages.execute("import_ratings", config, inputs, outputs)


def test_a_sheet_that_is_not_filled_in_to_its_end_is_taken(inputs, outputs, tmp_path):
    metrics = stages.execute("import_ratings", {"path": csv(tmp_path, "d1,a,1", "d2,a,", "d3,a, ")}, inputs, outputs).metrics
    assert (metrics["n_ratings"], metrics["n_unrated"], metrics["n_quarantined"]) == (1, 2, 2)
    with pytest.raises(InputError, match="row 1, field 'rating': was not rated. Bad rows: 2 of 2") as error:
        stages.execute("import_ratings", {"path": csv(tmp_path, "d1,a,", "d2,a,")}, inputs, outputs)
    left_aside(error)


def left_aside(error):
    """The file that the error names, and its rows."""
    path = Path(str(error.value).split("all in ")[1].split("quarantine.jsonl")[0]) / "quarantine.jsonl"
    return path, [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_when_the_run_stops_every_bad_row_is_in_the_file_it_names(inputs, outputs, tmp_path, monkeypatch):
    path = csv(tmp_path, "d1,a,1", "d2,a,0.7", "d99,a,0", "d3,a,0.7")
    with pytest.raises(InputError, match=r"2 × is not one of .*1 × no such diary.*or raise import_ratings.max_quarantined") as error:
        stages.execute("import_ratings", {"path": path}, inputs, outputs)
    at, rows = left_aside(error)
    assert [(r["file"], r["row"], r["value"]) for r in rows] == [(path, 2, "0.7"), (path, 3, "d99"), (path, 4, "0.7")]
    assert [p.name for p in at.parent.parent.rglob("*")] == ["work", "quarantine.jsonl"]
    monkeypatch.setenv("MEMOZY_RUN_DIR", str(tmp_path / "run"))
    with pytest.raises(InputError) as error:
        stages.execute("import_ratings", {"path": path}, inputs, outputs)
    at, rows = left_aside(error)
    assert at.is_relative_to(tmp_path / "run" / "stages") and len(rows) == 3


def test_files_of_other_marks_and_of_several_places_are_one_set(inputs, outputs, tmp_path):
    folder = tmp_path / "stars"
    folder.mkdir()
    (folder / "b.csv").write_text("diary_id;rater_id;rating\nd1;b;5\nd2;b;1\n", encoding="cp949")
    task = {"id": 1, "data": {"diary_id": "d1"}, "annotations": [
        {"completed_by": 3, "result": [{"type": "rating", "value": {"rating": 4}}]}]}  # fmt: skip
    (tmp_path / "export").write_text(json.dumps([task]), encoding="utf-8")
    scale = {1: -1, 2: -0.5, 3: 0, 4: 0.5, 5: 1}
    places = [str(folder), str(tmp_path / "export")]
    stages.execute("import_ratings", {"path": places, "scale": scale}, inputs, outputs)
    ratings = records.read(outputs["ratings"], records.RATINGS)
    assert ratings.select("diary_id", "rater_id", "rating", "source").rows() == [
        ("d1", "b", 1.0, "b.csv"), ("d2", "b", -1.0, "b.csv"), ("d1", "3", 0.5, "export"),
    ]  # fmt: skip
    config = stages.validated("import_ratings", {"path": places, "scale": scale})
    assert stages.config_files(config) == {"path.0": places[0], "path.1": places[1]}


def test_a_changed_file_in_a_folder_is_read_again_in_the_same_run(inputs, outputs, tmp_path, monkeypatch):
    monkeypatch.setenv("MEMOZY_RUN_DIR", str(tmp_path / "run"))
    path = csv(tmp_path, "d1,a,1")
    for lines, n in ((["d1,a,1"], 1), (["d1,a,1", "d2,a,0"], 2)):
        csv(tmp_path, *lines)
        assert stages.execute("import_ratings", {"path": [path]}, inputs, outputs).metrics["n_ratings"] == n


def test_a_diary_that_comes_with_its_text_keeps_what_is_known_of_it(inputs, outputs, tmp_path):
    known = records.read(inputs["diaries"], records.DIARIES).row(4, named=True)
    rows = [
        {"diary_id": "d4", "rating": 1, "text": f"\u00a0{known['text']} "},  # as a sheet may hand it back
        {"diary_id": "d5", "rating": 1, "text": "같은 이름의 다른 글"},
    ]
    (tmp_path / "a").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    stages.execute("import_ratings", {"path": str(tmp_path / "a")}, inputs, outputs)
    rated = records.read(outputs["rated_diaries"], records.DIARIES)
    assert rated.select("diary_id", "prompt_id", "image_id", "text").rows() == [
        ("d4", "p", "p2", known["text"]), ("d5", "unknown", None, "같은 이름의 다른 글"),
    ]  # fmt: skip


def test_ratings_come_from_s3(inputs, outputs, tmp_path, s3):  # noqa: F811
    s3.client().put_object(Bucket=BUCKET, Key="stage/r.csv", Body=b"diary_id,rater_id,rating\nd1,a,1\n")
    stages.execute("import_ratings", {"path": f"s3://{BUCKET}/stage/r.csv"}, inputs, outputs)
    assert records.read(outputs["ratings"], records.RATINGS).rows() == [("d1", "a", 1.0, "r.csv", None)]
    s3.client().put_object(Bucket=BUCKET, Key="stage/r.csv", Body=b"diary_id,rater_id,rating\nd1,a,9\n")
    with pytest.raises(InputError, match=rf"^s3://{BUCKET}/stage/r.csv, row 1, field 'rating', value '9'"):
        stages.execute("import_ratings", {"path": f"s3://{BUCKET}/stage/r.csv"}, inputs, outputs)


SHOWN = {"event_id": "e1", "shown_id": "e1", "kind": "shown", "prompt_id": "p", "propensity": 0.5, "draft": "글", "at": "2025-03-01T10:00:00+09:00"}
LIKED = {"event_id": "e2", "shown_id": "e1", "kind": "like"}


def test_reactions_come_from_a_log_or_from_the_store(inputs, outputs, tmp_path, monkeypatch):
    assert stages.execute("import_ratings", {}, inputs, outputs).metrics["n_events"] == 0
    assert records.read(outputs["events"], records.EVENTS).is_empty()
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, [SHOWN, LIKED, LIKED])), encoding="utf-8")
    assert stages.execute("import_ratings", {"events": str(log)}, inputs, outputs).metrics["n_events"] == 2
    said = records.read(outputs["events"], records.EVENTS).select("event_id", "kind", "at").rows()
    assert said == [("e1", "shown", "2025-03-01T01:00:00.000000Z"), ("e2", "like", None)]

    from memozy.feedback import open_store

    monkeypatch.setenv("MEMOZY_FEEDBACK", f"sqlite:///{tmp_path}/feedback.sqlite")
    with open_store() as store:
        store.record(**SHOWN)
        store.record(**LIKED)
    config = {"store": str(tmp_path / "batches")}
    for _ in range(2):  # what was published once is not lost, nor doubled
        assert stages.execute("import_ratings", config, inputs, outputs).metrics["n_events"] == 2
    assert records.read(outputs["events"], records.EVENTS).select("event_id", "kind", "at").rows() == said
    monkeypatch.setenv("MEMOZY_RUN_DIR", str(tmp_path / "run"))
    for _ in range(2):  # a run that is resumed keeps the events it had, whatever has happened since
        assert stages.execute("import_ratings", config, inputs, outputs).metrics["n_events"] == 2
        with open_store() as store:
            store.record(**SHOWN | {"event_id": "e3", "shown_id": "e3"})


def test_a_showing_of_a_known_diary_is_about_its_photo(inputs, outputs, tmp_path):
    shown = [("e1", "d3", None, None), ("e2", "d3", "c", "i"), ("e3", "d3", None, "i"), ("e4", "other", None, None), ("e5", None, "c", None)]
    events = [SHOWN | {"event_id": e, "shown_id": e, "diary_id": d, "context_id": c, "image_id": i} for e, d, c, i in shown]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, [*events, LIKED | {"event_id": "e9"}])), encoding="utf-8")
    stages.execute("import_ratings", {"events": str(log)}, inputs, outputs)
    own = records.read(inputs["diaries"], records.DIARIES).row(3, named=True)["context_id"]
    found = records.read(outputs["events"], records.EVENTS).select("diary_id", "context_id", "image_id").rows()
    assert found == [("d3", own, "p1"), ("d3", "c", "i"), ("d3", own, "i"), ("other", None, None), (None, "c", None), (None, None, None)]


def test_a_rating_without_a_text_is_not_filed_under_another_text_of_that_id(inputs, outputs, tmp_path):
    known = records.read(inputs["diaries"], records.DIARIES).row(4, named=True)["text"]
    (tmp_path / "a.csv").write_text("diary_id,rater_id,rating\nd4,kim,1\nd5,kim,-1\n", encoding="utf-8")
    rows = [{"diary_id": "d4", "rater_id": "lee", "rating": 0, "text": f" {known}"},
            {"diary_id": "d5", "rater_id": "lee", "rating": 0, "text": "같은 이름의 다른 글"}]  # fmt: skip
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    config = {"path": [str(tmp_path / "a.csv"), str(tmp_path / "b.jsonl")], "max_quarantined": 0.5}
    stages.execute("import_ratings", config, inputs, outputs)
    ratings = records.read(outputs["ratings"], records.RATINGS).select("diary_id", "rater_id", "rating").rows()
    assert ratings == [("d4", "kim", 1.0), ("d4", "lee", 0.0), ("d5", "lee", 0.0)]
    [aside] = map(json.loads, Path(outputs["quarantine"]).read_text(encoding="utf-8").splitlines())
    assert (aside["file"], aside["row"], aside["value"]) == (str(tmp_path / "a.csv"), 2, "d5")
    assert aside["reason"].startswith("may be the run's diary of this id or the one of another text")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"store": "batches", "events": "log.jsonl"}, "not both"),
        ({"store": True}, "should be a valid string"),
        ({"scale": {"1": 2}}, "mark '1' means 2, which is not one of"),
        ({"scale": {}}, "a scale explains at least one mark"),
        ({"path": []}, "at least 1 item"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(inputs, outputs, config, said):
    with pytest.raises(InputError, match=said):
        stages.execute("import_ratings", config, inputs, outputs)


def test_more_raters_than_the_panel_has_are_refused(inputs, outputs):
    with pytest.raises(InputError, match="field 'raters_per_diary', value 6: the panel has 5 raters"):
        stages.execute("import_ratings", {"raters_per_diary": 6}, inputs, outputs)


@pytest.mark.parametrize("lines", [["d1,a,0.7"], None])
def test_from_a_shell_a_bad_file_is_one_line_and_exit_code_2(inputs, outputs, tmp_path, lines):
    path = str(tmp_path / "nowhere.csv") if lines is None else csv(tmp_path, *lines)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"path": path}), encoding="utf-8")
    places = [word for name, at in (inputs | outputs).items() for word in (f"--{name}", at)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MEMOZY_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-m", "components.import_ratings", "--config", str(tmp_path / "c.yaml"), *places],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {path}")
    assert not any(Path(out).exists() for out in outputs.values())


def test_the_real_diaries_just_work(inputs, outputs):
    path = SHARED / "rated_diaries.jsonl"
    if not path.is_file():
        pytest.skip("no shared data: set MEMOZY_SHARED_DATA")
    stages.execute("import_ratings", {"path": str(path)}, inputs, outputs)
    given = pl.read_ndjson(path)
    ratings = records.read(outputs["ratings"], records.RATINGS)
    diaries = records.read(outputs["rated_diaries"], records.DIARIES)
    assert ratings["rating"].to_list() == given["rating"].to_list()
    assert set(ratings["rater_id"]) == {"rater-1"}
    assert diaries.select("diary_id", "image_id", "text").equals(given.select("diary_id", "image_id", "text"))

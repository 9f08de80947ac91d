"""Two runs on disk and in a real store, as the runner leaves them: d1..d3 rated by kim and lee, then d4 by a third."""

import csv
import json
import shutil
import socket
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from memozy import records, tracking, versions
from memozy.lineage import trace
from memozy.records import InputError
from memozy.stages import digest

FORMULA = "=HYPERLINK(1)"
FIRST = [("d1", "kim", 1.0, "a.csv"), ("d1", "lee", 0.5, "a.csv"), ("d2", "kim", -1.0, "a.csv"), ("d3", FORMULA, 0.0, "b.xlsx")]
SECOND = [*FIRST, ("d4", "new", -0.5, "b.xlsx")]


def ratings_of(rows):
    columns = ("diary_id", "rater_id", "rating", "source")
    return pl.DataFrame([dict(zip(columns, row, strict=True)) | {"rated_at": None} for row in rows], schema=records.RATINGS.dtypes)


def diaries_of(ids):
    rows = [{"diary_id": i, "context_id": f"c-{i}", "image_id": None, "prompt_id": "p", "generator": "g", "text": f"{i}의 글",
             "cost_usd": 0.0, "created_at": "2026-01-01"} for i in ids]  # fmt: skip
    return pl.DataFrame(rows, schema=records.DIARIES.dtypes)


SURROGATES = pl.DataFrame([{"diary_id": "s1", "rating": -0.5, "signal": "edit", "similarity": 0.4, "method": "rule"}],
                          schema=records.SURROGATES.dtypes)  # fmt: skip
SPLITS = {"d1": "train", "d2": "test", "d3": "train", "s1": "train"}  # d4 was set aside


def finish(root: Path, stage: str, key: str, inputs: dict, write: dict, config: dict, finished: float) -> Path:
    """What `stages.execute` leaves of a finished stage."""
    cell = root / "stages" / f"{stage}-{key}"
    (cell / "out").mkdir(parents=True)
    for name, how in write.items():
        how(cell / "out" / name)
    record = {"stage": stage, "config": config, "inputs": inputs, "seconds": 1.0, "finished": finished,
              "result": {"metrics": {}, "curves": []}}  # fmt: skip
    (cell / "done.json").write_text(json.dumps(record))
    link = root / "stages" / stage
    link.unlink(missing_ok=True)
    link.symlink_to(cell.name)
    return cell / "out"


def make_run(root: Path, rows, remote: str, sheet: Path) -> tuple[str, str]:
    """A run from ratings to registered models; its id in the store and its data version."""
    ratings, ids = ratings_of(rows), sorted({row[0] for row in rows})
    client_run = tracking.start_run(root.name, {}, {"memozy.folder": str(root), "memozy.pipeline": "optimize_prompt"})

    def validated(folder: Path):
        records.write(ratings, folder / "ratings.parquet", records.RATINGS)
        records.write(diaries_of(ids), folder / "diaries.parquet", records.DIARIES)
        records.write(SURROGATES, folder / "surrogates.parquet", records.SURROGATES)
        records.write(diaries_of(["s1"]), folder / "surrogate_diaries.parquet", records.DIARIES)

    def version(file: Path):
        pinned = {"version": versions.publish(file.parent / "validated", remote), "n_ratings": len(rows), "n_diaries": len(ids)}
        file.write_text(json.dumps(pinned))

    taken = finish(root, "import_ratings", "1", {"config.path.1": digest(sheet)}, {"ratings": ratings.write_parquet},
                   {"path": ["s3://bucket/b.xlsx", str(sheet)]}, 1.0)  # fmt: skip
    checked = finish(root, "validate_data", "2", {"ratings": digest(taken / "ratings")}, {"validated": validated, "version": version},
                     {"remote": remote}, 2.0)  # fmt: skip
    rated = pl.DataFrame([{"diary_id": i, "group_id": i, "context_id": "c", "text": "글", "rating": 0.0, "n_raters": 1, "split": SPLITS[i]}
                          for i in (*ids, "s1") if i in SPLITS])  # fmt: skip
    split = finish(root, "split_data", "3", {"validated": digest(checked / "validated")},
                   {"rated": lambda file: records.write(rated, file, records.RATED)}, {}, 3.0)  # fmt: skip
    pulls = pl.DataFrame([
        {"round": 1, "prompt_id": "p", "context_id": "c9", "rater_id": None, "text": "평가 글", "cost_usd": 0.0},
        {"round": 1, "prompt_id": "p", "context_id": "c9", "rater_id": "kim", "human_rating": 0.5, "rating_source": "kim.csv", "cost_usd": 0.0},
    ])  # fmt: skip
    judged = finish(root, "evaluate_prompts", "4", {"oversampled": digest(split / "rated")},
                    {"pulls": lambda file: records.write(pulls, file, records.PULLS)}, {}, 4.0)  # fmt: skip
    registered = dict.fromkeys(("lineage-m-candidate", "lineage-p-candidate"), str(1 + len(rows) - len(FIRST)))
    finish(root, "register_models", "5", {"version": digest(checked / "version"), "decision": digest(judged / "pulls")},
           {"registered": lambda file: file.write_text(json.dumps(registered))}, {}, 5.0)  # fmt: skip
    return client_run, json.loads((checked / "version").read_text())["version"]


@pytest.fixture(scope="module")
def world(_store, tmp_path_factory):
    """Two runs, `one` pushed to a remote and `two` to none, in a store with a model and a prompt."""
    from mlflow.tracking import MlflowClient

    folder = tmp_path_factory.mktemp("world")
    sheet = folder / "ratings.csv"
    sheet.write_text("diary_id,rater_id,rating\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", _store)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        client, made = MlflowClient(), {}
        client.create_registered_model("lineage-m-candidate")
        for name, rows, remote in (("one", FIRST, str(folder / "remote")), ("two", SECOND, "")):
            run_id, made[name] = make_run(folder / "runs" / name, rows, remote, sheet)
            patch.setenv("MLFLOW_RUN_ID", run_id)
            for cell in sorted((folder / "runs" / name / "stages").glob("*-?")):
                tracking.log_stage(json.loads((cell / "done.json").read_text()), cell / "out")
            tags = {"run_id": run_id, "data_version": made[name], "reward_hash": "abc"}
            client.create_model_version("lineage-m-candidate", str(folder), run_id, tags)
            client.register_prompt("lineage-p-candidate", "{place}", tags=tags)
        client.set_registered_model_alias("lineage-m-candidate", "champion", "1")
        client.set_prompt_alias("lineage-p-candidate", "champion", 2)
        client.copy_model_version("models:/lineage-m-candidate/1", "lineage-m")  # a reviewer promotes it
        client.create_registered_model("lineage-bare")
        client.create_model_version("lineage-bare", str(folder))
    return folder, made


@pytest.fixture
def known(world, mlflow_store):
    """The runs' folder and the versions, with the store in the environment: other tests use it, too."""
    folder, made = world
    return folder / "runs", made


@pytest.fixture
def elsewhere(known):
    """On another machine: the runs' folders are not here."""
    runs, made = known
    runs.rename(runs.with_name("gone"))
    yield runs, made
    runs.with_name("gone").rename(runs)


@pytest.mark.parametrize("model", ["lineage-m-candidate/1", "lineage-m-candidate@champion", "models:/lineage-m-candidate/1", "lineage-m/1", "lineage-p-candidate/1", "one"])
def test_a_model_a_prompt_and_a_run_lead_to_the_very_rows(known, tmp_path, model):
    runs, made = known
    told = trace.back(trace.origin(model, runs), [], tmp_path / "rows.parquet")
    assert (told["data_version"], told["run"], told["found_in"]) == (made["one"], "one", str(runs / "one"))
    assert (told["ratings"], told["diaries"], told["surrogates"], told["evaluation"]) == (4, 3, 1, 1)
    assert told["classes"] == {"-1": 1, "-0.5": 0, "0": 1, "0.5": 1, "1": 1}
    assert told["sources"] == {"a.csv": 3, "b.xlsx": 1} and told["raters"] == {"kim": 2, "lee": 1, FORMULA: 1}
    assert told["links"] == 5 and told["broken"] == []  # ratings, validated, rated, version, pulls
    assert told["stages"] == ["evaluate_prompts", "import_ratings", "register_models", "split_data", "validate_data"]
    [sheet] = told["given"]
    assert (sheet["stage"], sheet["setting"], sheet["sha256"]) == ("import_ratings", "path.1", digest(Path(sheet["place"])))
    written = pl.read_parquet(tmp_path / "rows.parquet")
    ratings = written.filter(kind="rating").sort("diary_id", "rater_id")
    assert ratings.select("diary_id", "rater_id", "rating", "source").rows() == sorted(FIRST)
    assert ratings["split"].to_list() == ["train", "train", "test", "train"]
    assert ratings["text"].to_list() == ["d1의 글", "d1의 글", "d2의 글", "d3의 글"]
    [judged] = written.filter(kind="evaluation").to_dicts()
    assert (judged["rater_id"], judged["rating"], judged["source"], judged["text"]) == ("kim", 0.5, "kim.csv", "평가 글")
    assert written.filter(kind="surrogate")["signal"].to_list() == ["edit"]


def test_a_sheet_of_rows_holds_no_formula(known, tmp_path):
    runs, _ = known
    told = trace.back(trace.origin("lineage-m-candidate/2", runs), [], tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", encoding="utf-8-sig", newline="") as file:
        sheet = list(csv.DictReader(file))
    assert len(sheet) == told["rows"] == 7
    raters = {row["rater_id"] for row in sheet}
    assert FORMULA not in raters and FORMULA in {rater.strip() for rater in raters}
    assert {row["split"] for row in sheet if row["diary_id"] == "d4"} == {""}  # set aside
    with pytest.raises(InputError, match="exists already"):
        trace.write_rows(pl.DataFrame(), tmp_path / "rows.csv")


def test_elsewhere_rows_come_from_the_remote_and_stages_from_the_store(elsewhere):
    runs, made = elsewhere
    told = trace.back(trace.origin("lineage-m-candidate@champion", runs), [])
    assert (told["ratings"], told["links"], told["found_in"]) == (4, None, str(runs.parent / "remote"))
    assert told["evaluation"] is None and "judged its prompts, NOBODY CAN TELL" in "\n".join(trace.lines(told))
    assert told["stages"] == ["evaluate_prompts", "import_ratings", "register_models", "split_data", "validate_data"]
    assert told["given"][0]["sha256"] == digest(Path(told["given"][0]["place"]))[:36]
    assert "not here" in "\n".join(trace.lines(told))
    with pytest.raises(InputError, match=f"rows of data version {made['two']} are neither in the run's folder nor in a remote"):
        trace.back(trace.origin("lineage-m-candidate/2", runs), [str(runs.parent / "remote")])


def test_what_was_changed_since_is_noticed(known, tmp_path):
    runs, made = known
    copy = tmp_path / "one"
    shutil.copytree(runs / "one", copy, symlinks=True)
    rated = copy / "stages/split_data-3/out/rated"
    records.write(records.read(rated, records.RATED).with_columns(split=pl.lit("train")), rated, records.RATED)
    told = trace.back(trace.origin(str(copy), runs), [])
    assert told["broken"] == [{"stage": "evaluate_prompts", "input": "oversampled"}] and told["links"] == 4
    assert "NOT to be found any more: evaluate_prompts read a 'oversampled'" in "\n".join(trace.lines(told))
    ratings = copy / "stages/validate_data-2/out/validated/ratings.parquet"
    records.write(ratings_of(FIRST[:2]), ratings, records.RATINGS)
    assert trace.back(trace.origin(str(copy), runs), [])["found_in"] == str(runs.parent / "remote")  # the true rows
    shutil.move(runs.parent / "remote", tmp_path / "remote")
    try:
        with pytest.raises(InputError, match="was changed since"):
            trace.back(trace.origin(str(copy), runs), [])
    finally:
        shutil.move(tmp_path / "remote", runs.parent / "remote")


def test_a_rater_and_a_diary_lead_to_the_models_made_of_them(known, tmp_path):
    runs, made = known
    told = trace.forward("new", None, [])
    assert told["versions"] >= 2 and not {each["version"] for each in told["unknown"]} & set(made.values())
    [only] = told["used"]
    assert only == {"version": made["two"], "made_of_it": ["lineage-m-candidate/2", "lineage-p-candidate/2", "run two"],
                    "rows": {"rating": 1, "surrogate": 0, "evaluation": 0}}  # fmt: skip
    both = {each["version"]: each["rows"] for each in trace.forward("kim", None, [], tmp_path / "kim.parquet")["used"]}
    assert both == dict.fromkeys(made.values(), {"rating": 2, "surrogate": 0, "evaluation": 1})
    assert pl.read_parquet(tmp_path / "kim.parquet")["version"].value_counts()["count"].to_list() == [3, 3]
    assert len(trace.forward(None, "s1", [])["used"]) == 2
    assert trace.forward("nobody", None, [])["used"] == []
    assert "lineage-m-candidate/2" in "\n".join(trace.lines(told))


def test_a_version_whose_rows_are_lost_is_named(elsewhere):
    _, made = elsewhere
    told = trace.forward(None, "d1", [])
    assert [each["version"] for each in told["used"]] == [made["one"]]
    assert {each["version"] for each in told["unknown"]} & set(made.values()) == {made["two"]}
    assert f"{made['two']}: NOBODY CAN TELL: " in "\n".join(trace.lines(told))


@pytest.mark.parametrize("rater", ["kim", "only in an evaluation"])
def test_where_a_run_is_elsewhere_nobody_can_tell_who_judged_its_prompts(elsewhere, rater):
    _, made = elsewhere
    told = trace.forward(rater, None, [])
    assert [each["version"] for each in told["used"]] == [made["one"]] * (rater == "kim")
    unknown = {each["version"]: each["why"] for each in told["unknown"]}
    assert unknown[made["one"]] == "the ratings that judged its prompts are in the folder of the run 'one', which is not here"
    assert "are neither in the run's folder nor in a remote" in unknown[made["two"]]


@pytest.mark.parametrize(("model", "said"), [
    ("lineage-m-candidate/7", "It has: lineage-m-candidate/1, lineage-m-candidate/2"), ("lineage-m-candidate@nope", "It has: lineage-m-candidate/1"),
    ("nope/1", "It has: .*/1"), ("lineage-bare/1", "field 'data_version'"), ("a' OR 'b/1", "is no model and no run"),
    ("nothing", "is no model and no run"),
])  # fmt: skip
def test_what_leads_nowhere_is_said(known, model, said):
    with pytest.raises(InputError, match=said):
        trace.origin(model, known[0])


def test_without_a_store_only_folders_tell(known, monkeypatch):
    runs, made = known
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert trace.origin(str(runs / "two"), runs).version == made["two"]
    with pytest.raises(InputError, match="there is no tracking store"):
        trace.origin("lineage-m-candidate/1", runs)
    with pytest.raises(InputError, match="is no run that has validated its data"):
        (runs / "empty" / "stages").mkdir(parents=True)
        trace.origin("empty", runs)


def test_what_is_no_store_is_said_at_once_and_left_as_it_is(known, tmp_path, monkeypatch):
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    (tmp_path / "text.db").write_text("no database, and long enough to be looked at " * 50)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        dead = f"postgresql+psycopg://me:secret@127.0.0.1:{closed.getsockname()[1]}/x"
        for uri, said in ((f"sqlite:///{tmp_path}/other.db", "no such table"), (f"sqlite:///{tmp_path}/text.db", "not a database"),
                          (f"sqlite:///{tmp_path}/new.db", "unable to open"), (f"{tmp_path}/mlruns", "FileNotFound"),
                          (f"file://{tmp_path}/mlruns", "FileNotFound"), ("nosuch://x", "can't be used"), ("postgresql+psycopg://me:secret@h:port/x", "ArgumentError"), (dead, "refused")):  # fmt: skip
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            with pytest.raises(InputError, match=said) as caught:
                trace.forward("kim", None, [])
            assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_a_damaged_run_is_said_to_be_one(known, tmp_path):
    shutil.copytree(known[0] / "one", tmp_path / "one", symlinks=True)
    (tmp_path / "one/stages/validate_data-2/done.json").unlink()
    with pytest.raises(InputError, match="done.json: is not there, or no JSON. The run is damaged"):
        trace.origin(str(tmp_path / "one"), known[0])


def test_the_command_says_it_in_lines_and_as_json(known, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from pipelines.cli import app

    runs, made = known
    monkeypatch.chdir(runs.parent)
    said = CliRunner().invoke(app, ["data", "lineage", "lineage-m-candidate/1", "--rows", str(tmp_path / "rows.csv")])
    assert said.exit_code == 0, said.output
    assert f"Data version {made['one']}, found in {runs / 'one'}" in said.output
    assert "5 links between its stages hold" in said.output and "a.csv: 3, b.xlsx: 1" in said.output
    assert (tmp_path / "rows.csv").is_file()
    said = CliRunner().invoke(app, ["data", "lineage", "--diary", "d4", "--json"])
    assert [each["version"] for each in json.loads(said.output)["used"]] == [made["two"]]
    said = CliRunner().invoke(app, ["data", "diff", "one", "two", "--json"])
    changes = json.loads(said.output)
    assert (changes["before"], changes["after"]) == (made["one"], made["two"])
    assert changes["diaries"]["added"] == ["d4"] and changes["ratings"]["added"] == 1
    for wrong in (["lineage"], ["lineage", "one", "--rater", "kim"], ["lineage", "one", "--rows", "x.txt"], ["diff", "one", "nothing"]):
        assert CliRunner().invoke(app, ["data", *wrong]).exit_code == 2

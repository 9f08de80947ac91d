"""`memozy feedback`."""

import json

import pytest
from typer.testing import CliRunner

from memozy.feedback import read_events
from pipelines.commands.feedback import app


@pytest.fixture
def memozy(tmp_path, monkeypatch):
    """Run a command where only the store is; what it printed, its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEMOZY_FEEDBACK", raising=False)

    def run(*arguments):
        done = CliRunner().invoke(app, list(map(str, arguments)))
        return done.output, done.exit_code

    return run


def write(path, *events):
    path.write_text("\n".join(json.dumps(e, ensure_ascii=False) for e in events), encoding="utf-8")


SHOWN = {"event_id": "s1", "shown_id": "s1", "kind": "shown", "prompt_id": "A", "propensity": 0.5, "draft": "오늘"}
LIKE = {"event_id": "a", "shown_id": "s1", "kind": "like"}


def test_logs_come_in_and_batches_go_out(memozy, tmp_path):
    write(tmp_path / "late.jsonl", LIKE, LIKE, LIKE | {"event_id": "b", "shown_id": "s2"})
    write(tmp_path / "early.jsonl", SHOWN, LIKE)
    assert memozy("import", "late.jsonl", "early.jsonl") == (
        "late.jsonl: 2 events are new, 1 were told before\nearly.jsonl: 1 events are new, 1 were told before\n"
        "1 wait for their showing\n", 0)  # fmt: skip
    lines = "1 shown, 2 like\npublished: {} batches\nnew: {}\nwaiting for their showing: 1\n"
    assert memozy("status") == (lines.format("0 in 0", 2), 0)
    output, code = memozy("publish", "--to", "batches", "--remote", tmp_path / "remote")
    [batch] = (tmp_path / "batches").iterdir()
    first, last = output.splitlines()
    assert (first, code) == (f"batches/{batch.name}", 0)
    assert last.startswith("version ") and last.endswith(".dir")
    assert memozy("status") == (lines.format("2 in 1", 0), 0)
    assert memozy("publish", "--to", "batches", "--remote", tmp_path / "remote") == (last + "\n", 0)  # nothing new, the same version
    assert memozy("import", "batches") == ("batches: 0 events are new, 2 were told before\n1 wait for their showing\n", 0)
    assert read_events(tmp_path / "batches").height == 2


def test_what_is_wrong_is_said_in_one_line_and_nothing_is_kept(memozy, tmp_path):
    assert memozy("status")[1] == 2
    write(tmp_path / "good.jsonl", SHOWN)
    write(tmp_path / "bad.jsonl", LIKE, SHOWN | {"segment": "old"})
    for content, problem in (
        ("bad.jsonl", "row 2, field 'event_id', value 's1': is in the store with another 'segment'"),
        ("none.jsonl", "no such file"),
    ):
        output, code = memozy("import", "good.jsonl", content)
        assert (code, output.count("\n")) == (2, 2) and problem in output and "Traceback" not in output
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and nothing else")
    (tmp_path / "latin.jsonl").write_bytes('{"event_id": "é"}'.encode("latin-1"))
    for file in ("torn.parquet", "latin.jsonl"):
        output, code = memozy("import", file)
        assert code == 2 and output.startswith(f"error: {file}") and output.count("\n") == 1
    assert "published: 0" in memozy("status")[0] and "1 shown\n" in memozy("status")[0]

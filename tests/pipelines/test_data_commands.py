"""`memozy data publish` and `pull`, as a person calls them; what they rest on is tested in tests/memozy."""

import pytest
from typer.testing import CliRunner

from memozy import versions
from memozy.versions import pointers
from pipelines.cli import app


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Runs `memozy data …` in a folder that is no repository, and that holds the folder `set`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEMOZY_DATA_REMOTE", raising=False)
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.txt").write_text("일기")
    return lambda *arguments: CliRunner().invoke(app, ["data", *arguments])


def test_what_is_published_can_be_pulled_by_its_pointer_and_by_its_version(data, tmp_path):
    version = versions.address(tmp_path / "set")
    for _ in range(2):
        said = data("publish", "set", "--remote", "kept")
        assert said.exit_code == 0, said.output
        assert said.output == f"{version} is in kept; set.dvc points to it.\n"
    assert pointers.read(tmp_path / "set.dvc") == version
    for what, to in (("set.dvc", "one"), (version, "two"), (version, "two")):  # again: it is there
        assert data("pull", what, "--remote", "kept", "--to", to).exit_code == 0
        assert versions.address(tmp_path / to) == version
    (tmp_path / "two/more.txt").write_text("mine")
    assert "holds something else" in data("pull", version, "--remote", "kept", "--to", "two").output
    assert (tmp_path / "two/more.txt").read_text() == "mine"


def test_the_remote_is_said_or_known_from_the_environment_or_the_repository(data, tmp_path, monkeypatch):
    assert "there is no remote" in data("publish", "set").output
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    remote = seed\n['remote \"seed\"']\n    url = ../seed\n")
    assert f"is in {tmp_path}/seed; named.dvc" in data("publish", "set", "--name", "named").output
    monkeypatch.setenv("MEMOZY_DATA_REMOTE", "from-environment")
    assert "is in from-environment;" in data("publish", "set").output
    assert "is in said;" in data("publish", "set", "--remote", "said").output


@pytest.mark.parametrize(("arguments", "said"), [
    (("publish", "none", "--remote", "r"), "is not a folder"), (("publish", "set", "--remote", "r", "--name", "../up"), "is not a name"),
    (("pull", "abc", "--remote", "r", "--to", "x"), "is not a version"), (("pull", "none.dvc", "--remote", "r", "--to", "x"), "no such file"),
    (("pull", "0" * 32 + ".dir", "--remote", "r", "--to", "x"), "does not hold version"), (("diff", "set", "set"), "names no data set"),
])  # fmt: skip
def test_bad_input_is_one_line_and_writes_nothing(data, tmp_path, arguments, said):
    done = data(*arguments)
    assert done.exit_code == 2 and done.output.count("\n") == 1 and said in done.output
    assert {p.name for p in tmp_path.iterdir()} == {"set"}


@pytest.mark.parametrize(("name", "said"), [(".gitignore", "not text in UTF-8"), ("set.dvc", "set.dvc")])
def test_what_the_pointer_would_fail_on_is_said_before_anything_is_pushed(data, tmp_path, name, said):
    (tmp_path / name).write_bytes(b"\xff\xfe")
    done = data("publish", "set", "--remote", "r")
    assert done.exit_code == 2 and done.output.count("\n") == 1 and said in done.output
    assert {p.name for p in tmp_path.iterdir()} == {"set", name}

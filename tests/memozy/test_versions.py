import json
import logging
import os
import socket
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from hashlib import md5
from multiprocessing import get_context
from pathlib import Path

import pytest

from memozy import versions
from memozy.records import InputError
from memozy.versions import pointers
from tests.s3 import BUCKET, moto, rclone, reader, s3  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "set"
    (made / "deep").mkdir(parents=True)
    (made / "a.txt").write_text("일기", encoding="utf-8")
    (made / "deep" / "b.bin").write_bytes(bytes(range(256)))
    (made / "deep" / "가.txt").write_bytes(b"")
    return made


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_version_is_the_content_as_dvc_names_it(folder, tmp_path):
    before = tree(folder)
    version = versions.publish(folder, "")
    assert versions.publish(folder, str(tmp_path / "remote")) == version == versions.address(folder)  # DVC's own says the same
    assert tree(folder) == before
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "of another name"
    folder.rename(copy)
    assert versions.publish(copy, "") == version
    (copy / "a.txt").write_text("일지", encoding="utf-8")
    assert versions.publish(copy, "") != version
    assert len(version) == 36
    with pytest.raises(InputError, match="holds no files"):
        versions.publish(tmp_path / "elsewhere" / "none", "")


@pytest.mark.parametrize("name", ["deep/.dvcignore", "old.dvc", "deep/dvc.yaml", "a\\b.txt", "dangling", "linked", "linked folder"])
def test_what_no_version_can_hold_is_named(folder, tmp_path, name):
    """DVC would leave it out, read it as its own, or not give it back."""
    links = {"dangling": "nowhere", "linked": "a.txt", "linked folder": "deep"}
    (folder / name).symlink_to(links[name]) if name in links else (folder / name).write_text("*.bin")
    with pytest.raises(InputError) as caught:
        versions.publish(folder, str(tmp_path / "remote"))
    assert f"set: holds {name}, which no version can hold" in str(caught.value)
    assert not (tmp_path / "remote").exists()


def test_what_was_published_comes_back(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    version = versions.publish(folder, "remote")  # a relative path is the caller's, not the scratch repository's
    assert (tmp_path / "remote").is_dir()
    target = tmp_path / "new" / "back"
    versions.pull(version, "remote", target)
    assert tree(target) == tree(folder)
    (target / "stale.txt").write_text("from before")
    versions.pull(version, str(tmp_path / "remote"), target)
    assert tree(target) == tree(folder)


@pytest.mark.parametrize("version", ["0" * 32 + ".dir", "../" * 10 + "etc.dir"])
def test_an_unknown_version_leaves_the_folder_alone(folder, tmp_path, version):
    remote = str(tmp_path / "remote")
    versions.publish(folder, remote)
    before = tree(folder)
    with pytest.raises(InputError, match="does not hold version|is not a version"):
        versions.pull(version, remote, folder)
    assert tree(folder) == before


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: (file.chmod(0o644), file.write_bytes(b"half"))])
def test_a_version_with_a_file_lost_or_cut_short_is_not_half_fetched(folder, tmp_path, harm):
    remote = tmp_path / "remote"
    version = versions.publish(folder, str(remote))
    digest = md5((folder / "deep/b.bin").read_bytes()).hexdigest()
    harm(remote / "files" / "md5" / digest[:2] / digest[2:])
    with pytest.raises(InputError, match="does not hold version"):
        versions.pull(version, str(remote), tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("name", ["../../../outside.txt", "/tmp/outside.txt", "a/../../../../outside.txt", "a\\..\\outside.txt"])
def test_a_version_made_to_write_outside_its_folder_is_refused(tmp_path, monkeypatch, name):
    """DVC itself would write there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()

    def put(content: bytes, ending: str = "") -> str:
        digest = md5(content).hexdigest()
        file = tmp_path / "remote/files/md5" / digest[:2] / (digest[2:] + ending)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return digest + ending

    version = put(json.dumps([{"md5": put(b"harm"), "relpath": name}]).encode(), ".dir")
    with pytest.raises(InputError, match="lies outside of it"):
        versions.pull(version, str(tmp_path / "remote"), tmp_path / "back")
    assert {p.name for p in tmp_path.rglob("*.txt")} == set()


def test_a_remote_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "remote").write_text("a file stands here")
    with pytest.raises(InputError, match="cannot be written"):
        versions.publish(folder, str(tmp_path / "remote"))
    for use in (lambda: versions.publish(folder, "foo://x"), lambda: versions.pull("0" * 32 + ".dir", "foo://x", folder)):
        with pytest.raises(InputError, match=r"^foo://x: is no remote \(.*"):
            use()


def test_runs_side_by_side_do_not_meet(folder, tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(versions.publish, folder, str(tmp_path / "remote")) for _ in range(2)]
        assert {job.result() for job in jobs} == {versions.address(folder)}
    versions.pull(versions.address(folder), str(tmp_path / "remote"), tmp_path / "back")
    assert tree(tmp_path / "back") == tree(folder)


def test_s3_is_a_remote(folder, tmp_path, s3):  # noqa: F811
    remote = f"s3://{BUCKET}/{tmp_path.name}"
    version = versions.publish(folder, remote)
    versions.pull(version, remote, tmp_path / "back")
    assert tree(tmp_path / "back") == tree(folder)
    assert versions.address(tmp_path / "back") == version == versions.publish(tmp_path / "back", remote)
    with pytest.raises(InputError, match="s3://no-such-bucket/x: refuses us .NoSuchBucket"):
        versions.publish(folder, "s3://no-such-bucket/x")
    with pytest.raises(InputError, match="does not hold version"):
        versions.pull("0" * 32 + ".dir", remote, tmp_path / "none")


@pytest.mark.parametrize(("name", "reason"), [("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch")])
def test_wrong_credentials_are_said_to_be_wrong_and_not_repeated(folder, tmp_path, rclone, monkeypatch, capfd, name, reason):  # noqa: F811
    for known, value in rclone.environment.items():
        monkeypatch.setenv(known, value)
    monkeypatch.setenv(name, "hunter2-hunter2")
    for act in (lambda: versions.publish(folder, f"s3://{BUCKET}/w"), lambda: versions.pull("0" * 32 + ".dir", f"s3://{BUCKET}/w", tmp_path / "b")):  # fmt: skip
        with pytest.raises(InputError, match=reason) as caught:
            act()
        assert "\n" not in str(caught.value) and "hunter2" not in str(caught.value) and rclone.secret not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.timeout(120)  # DVC alone takes 39 s to give up, and 86 s where nobody answers
@pytest.mark.parametrize("listens", [True, False])
def test_a_dead_endpoint_is_said_to_be_dead(folder, tmp_path, monkeypatch, capfd, listens):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        if not listens:
            mute.close()
        for name, value in {"AWS_ENDPOINT_URL": f"http://user:hunter2@127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "a",
                            "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match="s3://bucket/x: does not answer") as caught:
            versions.pull("0" * 32 + ".dir", "s3://bucket/x", tmp_path / "back")
    assert f"at http://127.0.0.1:{port}" in str(caught.value) and "hunter2" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_remote_that_may_only_be_read_says_so(folder, moto, monkeypatch):  # noqa: F811
    before = logging.getLogger("dvc").handlers
    with reader(moto) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=r"cannot be written \(Access Denied\)") as caught:
            versions.publish(folder, f"s3://{BUCKET}/locked")
    assert environment["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    assert logging.getLogger("dvc").handlers == before


@pytest.mark.parametrize("place", ["folder", "rclone"])
def test_a_fresh_clone_pulls_by_the_pointer(folder, tmp_path, monkeypatch, request, place):
    """git keeps pointer and remote; the real `dvc` in a clone, under another home, fetches the folder."""
    origin, clone, url = tmp_path / "origin", tmp_path / "clone", "../kept"
    if place != "folder":
        url = f"s3://{BUCKET}/{tmp_path.name}"
        for name, value in request.getfixturevalue(place).environment.items():
            monkeypatch.setenv(name, value)
    (origin / ".dvc").mkdir(parents=True)
    (origin / ".dvc/config").write_text(f"[core]\n    remote = kept\n['remote \"kept\"']\n    url = {url}\n")
    assert pointers.default_remote(origin / "some" / "where") == (str(origin / "kept") if place == "folder" else url)
    assert pointers.default_remote(tmp_path) == ""
    version = versions.publish(folder, pointers.default_remote(origin))
    subprocess.run(["git", "init", "-q"], cwd=origin, check=True)
    (origin / ".gitignore").write_text("*.pyc")  # without a line's end
    pointers.write(origin / "set.dvc", version, folder)
    assert (origin / ".gitignore").read_text() == "*.pyc\n/set\n"
    written = (origin / "set.dvc").stat().st_mtime_ns
    pointers.write(origin / "set.dvc", version, folder)
    assert (origin / "set.dvc").stat().st_mtime_ns == written
    assert (origin / ".gitignore").read_text() == "*.pyc\n/set\n"
    for command in (["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "data"],
                    ["clone", "-q", ".", str(clone)]):  # fmt: skip
        subprocess.run(["git", *command], cwd=origin, check=True)
    home = {**os.environ, "HOME": str(tmp_path / "home"), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run([sys.executable, "-m", "dvc", "pull", "-q"], cwd=clone, env=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert tree(clone / "set") == tree(folder) and versions.address(clone / "set") == version
    seen = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True).stdout
    assert "set" not in seen


def test_what_dvc_itself_writes_is_a_pointer():
    assert pointers.read(ROOT / "data.dvc").endswith(".dir")


@pytest.mark.parametrize("outs", [None, [], [{"md5": "0" * 32, "path": "file"}], [{"path": "x"}], ["x"], [{"md5": "0" * 32 + ".dir"}] * 2])
def test_what_does_not_point_to_one_folder_is_no_pointer(tmp_path, outs):
    (tmp_path / "x.dvc").write_text(json.dumps({"outs": outs}))
    with pytest.raises(InputError, match="does not point to one folder"):
        pointers.read(tmp_path / "x.dvc")

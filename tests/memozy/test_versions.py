import json
from concurrent.futures import ProcessPoolExecutor
from hashlib import md5
from multiprocessing import get_context

import pytest

from memozy import versions
from memozy.records import InputError


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "set"
    (made / "deep").mkdir(parents=True)
    (made / "a.txt").write_text("일기", encoding="utf-8")
    (made / "deep" / "b.bin").write_bytes(bytes(range(256)))
    return made


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def dvc_version(folder):
    """DVC's address of a folder, from its description: the MD5 of the sorted list of MD5s and names, as JSON."""
    entries = [{"md5": md5(data).hexdigest(), "relpath": name} for name, data in sorted(tree(folder).items())]
    return md5(json.dumps(entries).encode()).hexdigest() + ".dir"


def test_a_version_is_the_content(folder, tmp_path):
    before = tree(folder)
    assert versions.publish(folder, "") == dvc_version(folder)
    assert tree(folder) == before
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "of another name"
    folder.rename(copy)
    assert versions.publish(copy, "") == dvc_version(copy)
    (copy / "a.txt").write_text("일지", encoding="utf-8")
    changed = versions.publish(copy, "")
    assert changed == dvc_version(copy)
    assert len(changed) == 36


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


def test_an_unknown_version_leaves_the_folder_alone(folder, tmp_path):
    remote = str(tmp_path / "remote")
    versions.publish(folder, remote)
    before = tree(folder)
    with pytest.raises(InputError, match="does not hold version"):
        versions.pull("0" * 32 + ".dir", remote, folder)
    assert tree(folder) == before


def test_a_version_with_a_lost_file_is_not_half_fetched(folder, tmp_path):
    remote = tmp_path / "remote"
    version = versions.publish(folder, str(remote))
    lost = md5((folder / "a.txt").read_bytes()).hexdigest()
    (remote / "files" / "md5" / lost[:2] / lost[2:]).unlink()
    with pytest.raises(InputError, match="does not hold version"):
        versions.pull(version, str(remote), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_remote_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "remote").write_text("a file stands here")
    with pytest.raises(InputError, match="cannot be written"):
        versions.publish(folder, str(tmp_path / "remote"))


def test_runs_side_by_side_do_not_meet(folder, tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(versions.publish, folder, str(tmp_path / "remote")) for _ in range(4)]
        assert {job.result() for job in jobs} == {dvc_version(folder)}
    versions.pull(dvc_version(folder), str(tmp_path / "remote"), tmp_path / "back")
    assert tree(tmp_path / "back") == tree(folder)


@pytest.fixture
def s3(monkeypatch):
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import botocore.session

    botocore.session.get_session().create_client("s3").create_bucket(Bucket="bucket")
    yield "s3://bucket/data"
    server.stop()


def test_s3_is_a_remote(folder, tmp_path, s3):
    version = versions.publish(folder, s3)
    assert version == dvc_version(folder)
    versions.pull(version, s3, tmp_path / "back")
    assert tree(tmp_path / "back") == tree(folder)
    with pytest.raises(InputError, match="cannot be written"):
        versions.publish(folder, "s3://no-such-bucket/data")

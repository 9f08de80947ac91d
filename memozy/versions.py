"""Versioned folders, on a disk or in S3.

A version is DVC's content address of a folder, "<md5>.dir": the same bytes have the same version
anywhere, and any `dvc` client reads the remote. A stage needs no git and no repository for it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memozy.records import InputError


def publish(folder: Path, remote: str) -> str:
    """Pin `folder`'s content, and push it to `remote` unless that is empty; returns its version, "<md5>.dir".

    `remote`: a local folder, or s3://bucket/path (endpoint and credentials from AWS_ENDPOINT_URL,
    AWS_ACCESS_KEY_ID, …). Raises InputError when the remote cannot be written.
    """
    with _repository(remote) as (root, repo):
        shutil.copytree(folder, root / "data")
        version = repo.add(str(root / "data"))[0].outs[0].hash_info.value
        if remote:
            with _explained(remote, "cannot be written"):
                repo.push()
    return version


def pull(version: str, remote: str, folder: Path) -> None:
    """Fetch a published version from `remote` into `folder`, replacing what is there.

    Raises InputError when the remote cannot be read or does not hold the version whole; `folder` is
    then as it was.
    """
    with _repository(remote) as (root, repo):
        # JSON is YAML: the pointer file that `repo.add` wrote when the version was published
        pointer = {"outs": [{"md5": version, "hash": "md5", "path": "data"}]}
        (root / "data.dvc").write_text(json.dumps(pointer), encoding="utf-8")
        with _explained(remote, f"does not hold version {version} whole"):
            repo.pull()
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / "data", folder)


@contextmanager
def _repository(remote: str) -> Iterator[tuple[Path, object]]:
    """A throw-away DVC repository with nothing shared but the remote, so that runs side by side don't meet."""
    from dvc.repo import Repo

    url = remote if "://" in remote else os.path.abspath(remote)
    with tempfile.TemporaryDirectory(prefix="memozy-dvc-") as scratch:
        root = Path(scratch).resolve() / "repo"
        (root / ".dvc").mkdir(parents=True)
        core = {"no_scm": True, "site_cache_dir": str(root.parent / "site"), "remote": "data", "analytics": False}
        # copies, not links: the folder outlives its cache
        settings = {"core": core, "cache": {"type": "copy"}, "remote": {"data": {"url": url}}}
        with Repo(str(root), config=settings) as repo:
            yield root, repo


@contextmanager
def _explained(remote: str, problem: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # DVC passes on whatever the file system, boto or the network raised
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise InputError(f"{problem} ({reason})", file=remote,
                         remedy="Check the remote's path; for s3:// also AWS_ENDPOINT_URL and the credentials") from error  # fmt: skip

"""Versioned folders, on a disk or in S3.

A version is DVC's content address of a folder, "<md5>.dir": the same bytes have the same version
anywhere, and any `dvc` client reads the remote. A stage needs no git and no repository for it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memozy.records import InputError
from memozy.reports import without_secrets
from memozy.storage import s3_client

VERSION = re.compile(r"[0-9a-f]{32}\.dir")
PASSED_OVER = {".dvc", ".dvcignore", ".git", ".hg"}
ITS_OWN = {"dvc.yaml"}  # what DVC would read as its own, as it does *.dvc


def address(folder: Path) -> str:
    """The version of `folder`'s content: the MD5 of its files' MD5s and names, sorted by name.

    Raises InputError without files, and where there is something that no version can hold: a link, or what DVC passes
    over, or takes for its own.
    """
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if _unfit(path):
            raise InputError(f"holds {name}, which no version can hold", file=folder, remedy="Take it out")
        if path.is_file():
            names.append(name)
    if not names:
        raise InputError("holds no files", file=folder, remedy="Give a folder with data")
    listed = [{"md5": _md5(folder / name), "relpath": name} for name in sorted(names)]
    return hashlib.md5(json.dumps(listed).encode()).hexdigest() + ".dir"


def _unfit(path: Path) -> bool:
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return True
    return path.suffix == ".dvc" or path.name in PASSED_OVER | ITS_OWN or "\\" in path.name


def publish(folder: Path, remote: str) -> str:
    """Pin `folder`'s content, and push it to `remote` unless that is empty; returns its version, "<md5>.dir".

    `remote`: a local folder, or s3://bucket/path (endpoint and credentials from AWS_ENDPOINT_URL,
    AWS_ACCESS_KEY_ID, …). The files go first and what lists them last: a push that was killed left no
    version, and tried again it goes on. Raises InputError when the remote cannot be written.
    """
    version = address(folder)
    if remote:
        with _repository(remote) as (root, repo, heard):
            with _explained(str(folder), "cannot be pinned", heard, "Look at its files"):
                shutil.copytree(folder, root / "data")
                added = repo.add(str(root / "data"))[0].outs[0].hash_info.value
                if added != version:
                    raise ValueError(f"it changed while it was read, or DVC names it another way: {added}")
            with _explained(remote, "cannot be written", heard):
                repo.push()
    return version


def pull(version: str, remote: str, folder: Path) -> None:
    """Fetch a published version from `remote` into `folder`, replacing what is there.

    Raises InputError when the remote cannot be read or does not hold the version whole, every byte of
    it; `folder` is then as it was.
    """
    check(version)
    with _repository(remote) as (root, repo, heard):
        # JSON is YAML: the pointer file that `repo.add` wrote when the version was published
        pointer = {"outs": [{"md5": version, "hash": "md5", "path": "data"}]}
        (root / "data.dvc").write_text(json.dumps(pointer), encoding="utf-8")
        problem = f"does not hold version {version} whole"
        with _explained(remote, problem, heard):
            repo.fetch()
            _stay_inside(root / ".dvc/cache/files/md5" / version[:2] / version[2:])
            repo.checkout()
            if (found := address(root / "data")) != version:  # DVC takes a remote at its word
                raise ValueError(f"its files make up {found}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / "data", folder)


def _stay_inside(listing: Path) -> None:
    """Raise ValueError where a version's list of files names one outside its folder: DVC would write it there."""
    names = [entry["relpath"] for entry in json.loads(listing.read_text(encoding="utf-8"))]
    for name in names:
        if not name or name.startswith("/") or "\\" in name or {"", ".", ".."} & set(name.split("/")):
            raise ValueError(f"its file {name!r} lies outside of it")


def check(version: str) -> str:
    """`version` itself. Raises InputError where that is none."""
    if not VERSION.fullmatch(version):
        raise InputError("is not a version of a folder", value=version, remedy="A version is 32 hexadecimal digits and '.dir'")
    return version


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


@contextmanager
def _repository(remote: str) -> Iterator[tuple[Path, object, list[logging.LogRecord]]]:
    """A throw-away DVC repository with nothing shared but the remote, so that runs side by side don't meet.

    With it comes what DVC has to say meanwhile, which is kept from the terminal.
    """
    _reach(remote)
    from dvc.repo import Repo

    if remote.startswith("s3://"):
        from s3fs import S3FileSystem

        os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")  # s3fs repeats what botocore repeats: 49 s where a server dies meanwhile
        S3FileSystem.clear_instance_cache()  # in one process it would keep to the endpoint and credentials it knew first
    url = remote if "://" in remote else os.path.abspath(remote)
    with tempfile.TemporaryDirectory(prefix="memozy-dvc-") as scratch, _listening() as heard:
        root = Path(scratch).resolve() / "repo"
        (root / ".dvc").mkdir(parents=True)
        core = {"no_scm": True, "site_cache_dir": str(root.parent / "site"), "remote": "data", "analytics": False}
        # copies, not links: the folder outlives its cache
        settings = {"core": core, "cache": {"type": "copy"}, "remote": {"data": {"url": url}}}
        with _explained(remote, "is no remote", heard):
            repo = Repo(str(root), config=settings)
        with repo:
            yield root, repo, heard


def _reach(remote: str) -> None:
    """Raise InputError where an S3 remote does not answer, or does not let us in.

    DVC would try a dead endpoint again and again, up to a minute and a half, and not tell why in the end.
    """
    if not remote.startswith("s3://"):
        return
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as NoConnection

    bucket, _, path = remote.removeprefix("s3://").partition("/")
    try:
        client = s3_client()
        client.list_objects_v2(Bucket=bucket, Prefix=f"{path.strip('/')}/".lstrip("/"), MaxKeys=1)
    except ClientError as error:
        said = error.response["Error"]
        problem, reason = "refuses us", f"{said['Code']}: {said.get('Message', '')}".rstrip(": ")
    except (NoConnection, HTTPClientError) as error:  # no such address or port, broken TLS, time-outs
        endpoint = without_secrets(client.meta.endpoint_url)
        problem, reason = "does not answer", f"{type(error).__name__} at {endpoint}"
    except (BotoCoreError, ValueError) as error:  # no credentials, no such profile, no bucket's name, no URL
        problem, reason = "cannot be reached", " ".join(str(error).split())
    else:
        return
    raise InputError(f"{problem} ({reason})", file=without_secrets(remote), remedy=_REMEDY)


_REMEDY = "Check the remote's path; for s3:// also AWS_ENDPOINT_URL and the credentials"


@contextmanager
def _listening() -> Iterator[list[logging.LogRecord]]:
    """What DVC logs as an error while this is open, instead of on the terminal: of a failed transfer it raises only a count."""
    heard: list[logging.LogRecord] = []
    ear = logging.Handler(logging.ERROR)
    ear.emit = heard.append
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [ear], False
    try:
        yield heard
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate


@contextmanager
def _explained(place: str, problem: str, heard: list[logging.LogRecord], remedy: str = _REMEDY) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # DVC passes on whatever the file system, boto or the network raised
        causes = [record.exc_info[1] for record in heard if record.exc_info]
        cause = causes[-1] if causes and type(error).__name__ == "UploadError" else error
        reason = (str(cause).strip() or type(cause).__name__).split("\n")[0]
        raise InputError(f"{problem} ({reason})", file=without_secrets(place), remedy=remedy) from error

"""Where people's files are: on this machine, in S3, or at an address that the operator allowed."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from memozy.records import InputError

LARGEST = 4 << 30  # bytes of one file
SECONDS = 5  # to connect, and between two pieces of an answer
ATTEMPTS = 2


def fetch(place: str, folder: Path, allowed_hosts: Collection[str] = ()) -> Path:
    """A local path to what is at `place`: a file or a folder; what is elsewhere is copied into `folder`.

    place: a path; s3://bucket/key, or s3://bucket/prefix/ for everything directly below it (endpoint and credentials
    from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …); http(s)://host/… where the host is one of `allowed_hosts`. Raises
    InputError when nothing is there, or it cannot be had within seconds.
    """
    try:
        scheme = urlsplit(place).scheme if "://" in place else ""
    except ValueError as error:
        raise InputError(f"is no address ({error})", file=place, remedy="Check it") from None
    if not scheme:
        if not os.path.exists(place):  # of a name that is too long, Path's own raises
            raise InputError("no such file", file=place, remedy="Paths count from where you are")
        return Path(place)
    folder.mkdir(parents=True, exist_ok=True)
    if scheme == "s3":
        return _from_s3(place, folder)
    if scheme in ("http", "https"):
        return _from_web(place, folder, allowed_hosts)
    raise InputError("is a place of an unknown kind", file=shown(place), remedy="Give a path, s3://… or https://…")


def shown(place: str) -> str:
    """A place as it may be told: without user name, password, and the query and fragment, in which signatures stand."""
    if "://" not in place:
        return place
    parts = urlsplit(place)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def s3_client():
    """A boto3 client for S3 by the environment's credentials and AWS_ENDPOINT_URL, which gives up within about ten seconds."""
    import boto3
    from botocore.config import Config

    patience = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": ATTEMPTS})
    return boto3.Session().client("s3", config=patience)  # the default session would remember credentials


def _from_s3(place: str, folder: Path) -> Path:
    parts = urlsplit(place)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    with _explained(place):
        client = s3_client()
        if key and not key.endswith("/"):
            return _object(client, bucket, key, folder, place)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key, Delimiter="/")
        keys = [found["Key"] for page in pages for found in page.get("Contents", ()) if not found["Key"].endswith("/")]
        for found in keys:
            _object(client, bucket, found, folder, place)
    return folder


def _object(client, bucket: str, key: str, folder: Path, place: str) -> Path:
    answer = client.get_object(Bucket=bucket, Key=key)
    return _saved(answer["Body"], answer["ContentLength"], folder / key.rpartition("/")[2], place)


def _from_web(place: str, folder: Path, allowed_hosts: Collection[str]) -> Path:
    from urllib.request import HTTPRedirectHandler, build_opener

    def allow(address: str) -> None:
        parts = urlsplit(address)
        if "@" in parts.netloc:
            raise InputError(
                "holds a user name or password", file=shown(address), remedy="Give an address that needs none"
            )
        if parts.scheme not in ("http", "https") or parts.hostname not in {host.lower() for host in allowed_hosts}:
            raise InputError("is not on a host that this run may fetch from", file=shown(address), field="allowed_hosts",
                             remedy=f"Allowed: {', '.join(allowed_hosts) or 'none'}")  # fmt: skip

    class Careful(HTTPRedirectHandler):
        def redirect_request(self, request, file, code, message, headers, address):
            allow(address)
            return super().redirect_request(request, file, code, message, headers, address)

    allow(place)
    with _explained(place), build_opener(Careful).open(place, timeout=SECONDS) as answer:
        name = Path(urlsplit(place).path).name or "file"
        return _saved(answer, int(answer.headers.get("Content-Length") or 0), folder / name, place)


def _saved(body, size: int, path: Path, place: str) -> Path:
    """Copy a body of `size` bytes, 0 where that isn't said, and no more than is allowed."""
    with open(path, "wb") as file:
        if size <= LARGEST:
            while file.tell() <= LARGEST and (piece := body.read(1 << 20)):
                file.write(piece)
        written = file.tell()
    if max(size, written) > LARGEST:
        raise InputError(f"has more than {LARGEST:,} bytes", file=shown(place), remedy="Split it")
    if size and written != size:
        raise InputError(f"broke off after {written:,} of {size:,} bytes", file=shown(place), remedy="Try again")
    return path


@contextmanager
def _explained(place: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # boto, urllib and the network raise whatever they like
        reason = re.sub(
            r"//[^/@\s]*@", "//", (str(error).strip() or type(error).__name__).split("\n")[0]
        )  # an endpoint's password
        hint = "AWS_ENDPOINT_URL, the credentials and the path" if place.startswith("s3:") else "the address"
        raise InputError(f"cannot be fetched ({reason})", file=shown(place), remedy=f"Check {hint}") from None

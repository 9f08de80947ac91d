import socket
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from memozy import storage
from memozy.records import InputError
from tests.s3 import BUCKET, moto, rclone, s3  # noqa: F401 - fixtures


def refused(place, folder, hosts=("127.0.0.1",)):
    with pytest.raises(InputError) as error:
        storage.fetch(place, folder, hosts)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_here_stays_where_it_is(tmp_path):
    (tmp_path / "a.csv").write_text("a")
    assert storage.fetch(str(tmp_path / "a.csv"), tmp_path / "to") == tmp_path / "a.csv"
    assert storage.fetch(str(tmp_path), tmp_path / "to") == tmp_path
    assert not (tmp_path / "to").exists()
    assert "no such file" in refused(str(tmp_path / "b.csv"), tmp_path)
    assert "no such file" in refused("x" * 5_000, tmp_path)
    assert refused("https://[x", tmp_path).startswith("https://[x: is no address (")
    assert "is no address" in refused("s3://[x/a.csv", tmp_path)
    assert "is a place of an unknown kind" in refused("ftp://127.0.0.1/a", tmp_path)
    assert "is a place of an unknown kind" in refused("file:///etc/passwd", tmp_path)


def test_s3_gives_a_file_or_what_stands_below_a_prefix(tmp_path, s3):  # noqa: F811
    client, prefix = s3.client(), tmp_path.name
    for key, content in {
        "a.csv": b"one",
        "more/b.csv": b"two",
        "more/c.csv": b"3" * 3_000_000,
        "more/deep/d.csv": b"no",
    }.items():
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=content)
    found = storage.fetch(f"s3://{BUCKET}/{prefix}/a.csv", tmp_path / "file")
    assert (found.name, found.read_bytes()) == ("a.csv", b"one")
    folder = storage.fetch(f"s3://{BUCKET}/{prefix}/more/", tmp_path / "folder")
    assert {p.name: len(p.read_bytes()) for p in folder.iterdir()} == {"b.csv": 3, "c.csv": 3_000_000}
    said = refused(f"s3://{BUCKET}/{prefix}/none.csv", tmp_path / "none")
    assert said.startswith(f"s3://{BUCKET}/{prefix}/none.csv: cannot be fetched (An error occurred (NoSuchKey)")
    assert "cannot be fetched" in refused("s3://no-such-bucket/a/", tmp_path / "none")


def test_credentials_and_endpoints_that_are_wrong_are_said_to_be(tmp_path, rclone, monkeypatch):  # noqa: F811
    for name, value in rclone.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    said = refused(f"s3://{BUCKET}/a.csv", tmp_path)
    assert (
        "SignatureDoesNotMatch" in said
        and "Check AWS_ENDPOINT_URL, the credentials and the path" in said
        and "hunter2" not in said
    )
    monkeypatch.setattr(storage, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:hunter2@127.0.0.1:{port}")
        assert "Read timeout" in refused(f"s3://{BUCKET}/a.csv", tmp_path)
    said = refused(f"s3://{BUCKET}/a.csv", tmp_path)
    assert "Could not connect" in said and "hunter2" not in said


class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        port = self.server.server_address[1]
        moved = {
            "/moved": f"http://127.0.0.1:{port}/a.csv",
            "/elsewhere": f"http://localhost:{port}/a.csv",
            "/local": "file:///etc/passwd",
        }
        path = self.path.partition("?")[0]
        self.send_response(302 if path in moved else 404 if path == "/none" else 200)
        if path in moved:
            self.send_header("Location", moved[path])
        if path == "/short":
            self.send_header("Content-Length", "9")
        self.end_headers()
        if path not in moved:
            self.wfile.write(b"content")

    def log_message(self, *_):
        pass


@contextmanager
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_an_address_is_fetched_from_an_allowed_host_alone(tmp_path, monkeypatch):
    with site() as address:
        for place in (f"{address}/a.csv?signature=hunter2", f"{address}/moved"):
            found = storage.fetch(place, tmp_path / "to", ["127.0.0.1"])
            assert found.read_bytes() == b"content"
        said = refused(f"{address}/a.csv?signature=hunter2", tmp_path, hosts=())
        assert (
            said
            == f"{address}/a.csv, field 'allowed_hosts': is not on a host that this run may fetch from. Allowed: none"
        )
        assert "http://localhost" in refused(f"{address}/elsewhere", tmp_path)
        assert "is not allowed" in refused(f"{address}/local", tmp_path)
        assert "cannot be fetched (HTTP Error 404" in refused(f"{address}/none", tmp_path)
        assert "broke off after 7 of 9 bytes" in refused(f"{address}/short", tmp_path)
        assert "hunter2" not in refused(address.replace("//", "//user:hunter2@") + "/a.csv", tmp_path)
        monkeypatch.setattr(storage, "LARGEST", 5)
        assert "has more than 5 bytes" in refused(f"{address}/a.csv", tmp_path)
        assert "has more than 5 bytes" in refused(f"{address}/short", tmp_path)
    assert "cannot be fetched" in refused(f"{address}/a.csv", tmp_path)

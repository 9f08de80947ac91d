"""Two real S3 servers on the loopback, each with an empty bucket `bucket`.

rclone checks credentials and takes uploads in parts; moto takes any credentials and honours conditional writes. What
talks to S3 is tested against both.
"""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BUCKET = "bucket"


@dataclass(frozen=True)
class Server:
    """Where one listens, whom it lets in, and how the environment says so."""

    endpoint: str
    key: str = "the-key-id"
    secret: str = "the-secret-key"

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret,
                "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip

    def client(self):
        import boto3

        return boto3.client("s3", endpoint_url=self.endpoint, aws_access_key_id=self.key, aws_secret_access_key=self.secret,
                            region_name="us-east-1")  # fmt: skip


@pytest.fixture(scope="session")
def rclone(tmp_path_factory) -> Iterator[Server]:
    """A server that checks credentials."""
    with serving_rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    """A server that writes on condition."""
    with serving_moto() as server:
        yield server


@pytest.fixture(params=["rclone", "moto"])
def s3(request, monkeypatch) -> Server:
    """Each of the two in turn; the environment leads to it. Buckets are shared: give every test a prefix of its own."""
    server = request.getfixturevalue(request.param)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@contextmanager
def serving_rclone(folder: Path) -> Iterator[Server]:
    """Serve the folders in `folder` as buckets."""
    found = Path(sys.executable).with_name("rclone")
    program = str(found) if found.exists() else shutil.which("rclone")
    if program is None:
        pytest.skip("rclone is not installed")
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    login = f"{Server.key},{Server.secret}"
    process = subprocess.Popen(  # it writes little: the pipe never fills
        [program, "serve", "s3", str(folder), "--addr", "127.0.0.1:0", "--auth-key", login, "--config", "", "--vfs-cache-mode", "off"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for line in process.stderr:
            if listening := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise RuntimeError("rclone ended without serving")
        yield Server(listening[0])
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextmanager
def serving_moto() -> Iterator[Server]:
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    found = Server(f"http://{host}:{port}")
    found.client().create_bucket(Bucket=BUCKET)
    try:
        yield found
    finally:
        server.stop()


@contextmanager
def reader(server: Server) -> Iterator[dict[str, str]]:
    """The environment of a user whom moto lets read and not write; meanwhile it knows nobody else."""
    import boto3

    def check_after(requests: int) -> None:
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{server.endpoint}/moto-api/reset-auth", str(requests).encode(), headers)
        urllib.request.urlopen(request).close()

    iam = boto3.client("iam", endpoint_url=server.endpoint, aws_access_key_id="a", aws_secret_access_key="b",
                       region_name="us-east-1")  # fmt: skip
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    allowed = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
    check_after(0)
    try:
        yield server.environment | {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    finally:
        check_after(10**9)

"""kill -9 in the middle of a publication, again and again: no half version is ever pulled, and tried again it ends right.

    python -m drills.kill_publish [--kills 10]

A folder of many files is published to a folder and to a real S3 server by a process of its own, which is killed each time
after a random number of its files has arrived. Between kills the version must be refused, or be whole; a last
attempt, undisturbed, must end in exactly the folder's bytes.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from memozy import versions
from memozy.records import InputError
from tests.s3 import BUCKET, serving_rclone

PUBLISH = "import sys; from pathlib import Path; from memozy import versions; versions.publish(Path(sys.argv[1]), sys.argv[2])"


def make(folder: Path, files: int) -> None:
    for n in range(files):
        (folder / f"part-{n % 7}").mkdir(parents=True, exist_ok=True)
        (folder / f"part-{n % 7}" / f"{n}.bin").write_bytes(random.Random(n).randbytes(50_000))


def arrived(kept: Path) -> int:
    return sum(p.is_file() for p in kept.rglob("*"))


def killed(folder: Path, remote: str, kept: Path, files: int) -> bool:
    """Publish, and kill -9 once so many more files lie in `kept`; False where it had ended before."""
    goal = arrived(kept) + files
    process = subprocess.Popen([sys.executable, "-c", PUBLISH, str(folder), remote], stderr=subprocess.DEVNULL, env=os.environ)
    while process.poll() is None:
        if arrived(kept) >= goal:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.001)
    return False


def whole(version: str, remote: str, scratch: Path) -> bool:
    """Whether the remote gives the version; what it gives must be all of it."""
    try:
        versions.pull(version, remote, scratch)
    except InputError:
        return False
    assert versions.address(scratch) == version
    return True


def drill(kills: int, files: int, remote: str, kept: Path, scratch: Path, seed: int = 0) -> dict:
    """Kills until `kills` have struck or nothing is left to push, then one attempt in peace. Raises AssertionError."""
    make(scratch / "set", files)
    version, rng, struck = versions.address(scratch / "set"), random.Random(seed), 0
    while struck < kills and killed(scratch / "set", remote, kept, rng.randint(1, max(1, files // (kills + 1)))):
        struck += 1
        whole(version, remote, scratch / "early")
    before = arrived(kept)
    assert versions.publish(scratch / "set", remote) == version
    assert whole(version, remote, scratch / "back")
    return {"kills": struck, "files": files, "there_before_the_last_attempt": before}


def main(kills: int = 10, files: int = 120) -> dict:
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        found["folder"] = drill(kills, files, str(root / "kept"), root / "kept", root / "a")
        with serving_rclone(root / "buckets") as server:
            os.environ |= server.environment
            found["s3"] = drill(kills, files, f"s3://{BUCKET}/x", root / "buckets", root / "b")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    print(json.dumps({"drill": "kill_publish", **main(parser.parse_args().kills)}))

"""Scores kept: by model and text, in a file that several share and that a killed writer leaves whole."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from memozy.reward.cache import BATCH, ScoreCache

TEXTS = ["오늘 좋았다.", "오늘 좋았다", "", "👍", "\ud800", "a" * 10_000]  # among them half of a surrogate pair
ROWS = np.array([[1 / 3, -1.0], [0.1 + 0.2, 0.0], [np.pi, 5e-324], [-0.0, 1.0], [0.5, np.nan], [np.inf, 1e308]])


@pytest.mark.parametrize("kept_in", ["memory", "file"])
def test_rows_come_back_bit_for_bit(kept_in, tmp_path):
    cache = ScoreCache(tmp_path / "scores.db" if kept_in == "file" else None)
    assert cache.read("model", TEXTS) == {}
    cache.write("model", TEXTS[:5], ROWS[:5])
    found = cache.read("model", [TEXTS[3], "never seen", TEXTS[0], TEXTS[3]])
    assert sorted(found) == [0, 2, 3]
    assert found[0].tobytes() == found[3].tobytes() == ROWS[3].tobytes() and found[2].tobytes() == ROWS[0].tobytes()
    cache.write("model", TEXTS[4:], ROWS[4:])  # one of them for the second time
    assert b"".join(row.tobytes() for _, row in sorted(cache.read("model", TEXTS).items())) == ROWS.tobytes()


def test_models_do_not_mix():
    cache = ScoreCache()
    cache.write("a", TEXTS[:2], ROWS[:2])
    cache.write("b", TEXTS[1:3], -ROWS[1:3])
    assert sorted(cache.read("a", TEXTS)) == [0, 1] and sorted(cache.read("b", TEXTS)) == [1, 2]
    assert np.array_equal(cache.read("a", TEXTS)[1], -cache.read("b", TEXTS)[1])
    assert cache.read("ab", TEXTS) == {}


def test_two_objects_share_a_file_and_two_without_share_nothing(tmp_path):
    one, other = ScoreCache(tmp_path / "scores.db"), ScoreCache(tmp_path / "scores.db")
    one.write("model", ["a"], ROWS[:1])
    other.write("model", ["b"], ROWS[1:2])
    for cache in (one, other, ScoreCache(tmp_path / "scores.db")):
        assert sorted(cache.read("model", ["a", "b", "c"])) == [0, 1]
    one, other = ScoreCache(), ScoreCache()
    one.write("model", ["a"], ROWS[:1])
    assert other.read("model", ["a"]) == {}


def test_more_texts_than_one_query_takes(tmp_path):
    texts, rows = [f"글 {i}" for i in range(3000)], np.random.default_rng(0).normal(size=(3000, 7))
    assert len(texts) > 2 * BATCH
    cache = ScoreCache(tmp_path / "scores.db")
    cache.write("model", texts[::2], rows[::2])
    found = cache.read("model", texts)
    assert list(found) == list(range(0, 3000, 2))
    assert np.array_equal(np.stack(list(found.values())), rows[::2])


def test_no_text_can_be_read_from_the_file(tmp_path):
    ScoreCache(tmp_path / "scores.db").write("model", ["비밀 일기"], ROWS[:1])
    assert not any("비밀".encode() in path.read_bytes() for path in tmp_path.iterdir())


def test_threads_of_one_process_share_a_cache(tmp_path):
    cache, failures = ScoreCache(tmp_path / "scores.db"), []

    def work(name: str) -> None:
        try:
            for i in range(30):
                texts = [f"{name} {i} {j}" for j in range(20)]
                cache.write(name, texts, np.full((20, 2), i))
                assert all(row[0] == i for row in cache.read(name, texts).values())
        except Exception as error:  # a thread's error would not end the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


WRITER = """
import sys
from pathlib import Path
import numpy as np
from memozy.reward.cache import ScoreCache
name = sys.argv[2]
cache = ScoreCache(Path(sys.argv[1]))
print("open", flush=True)
for i in range(int(sys.argv[3])):
    cache.write("model", [f"{name} {i} {j}" for j in range(500)], np.full((500, 7), float(i)))
"""


def writer(file, name: str, batches: int) -> subprocess.Popen:
    arguments = [sys.executable, "-c", WRITER, str(file), name, str(batches)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})


def test_a_killed_writer_leaves_whole_batches(tmp_path):
    file = tmp_path / "scores.db"
    process = writer(file, "killed", 100_000)
    assert process.stdout.readline() == b"open\n"
    time.sleep(0.4)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    cache, batch = ScoreCache(file), 0
    while found := cache.read("model", [f"killed {batch} {j}" for j in range(500)]):
        assert len(found) == 500 and all((row == batch).all() for row in found.values())
        batch += 1
    assert batch > 0, "it had begun"
    cache.write("model", ["after"], ROWS[:1])
    assert len(cache.read("model", ["after"])) == 1


def test_processes_open_and_write_one_file_at_the_same_time(tmp_path):
    file = tmp_path / "scores.db"
    processes = [writer(file, name, 10) for name in "abcd"]
    assert [process.wait() for process in processes] == [0] * 4
    for process in processes:
        process.stdout.close()
    cache = ScoreCache(file)
    for name in "abcd":
        assert len(cache.read("model", [f"{name} {i} {j}" for i in range(10) for j in range(500)])) == 5000

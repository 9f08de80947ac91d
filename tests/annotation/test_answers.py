"""Answers survive kills, full disks and second programs; each line is somebody's work."""

import json
import resource
import signal

import pytest

from annotation.answers import Answers
from annotation.tasks import Rate
from memozy.records import InputError


def row(n, rater="kim"):
    return {"diary_id": f"d{n}", "rater_id": rater, "rating": 0.5, "text": "글\u2028둘째 줄"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "ratings.jsonl"


def on_disk(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def opened(path):
    return Answers(path, Rate.fault)


def test_what_was_added_is_there_at_the_next_start(path):
    first = opened(path)
    first.add(row(1))
    first.add(row(2, "이"))
    assert on_disk(path) == first.rows == [row(1), row(2, "이")]
    first.close()
    assert opened(path).rows == [row(1), row(2, "이")]


@pytest.mark.parametrize("cut", [1, 10, -2])
def test_a_line_that_a_kill_cut_short_is_dropped_and_no_other(path, cut):
    first = opened(path)
    first.add(row(1))
    first.close()
    whole = path.read_bytes()
    path.write_bytes(whole + json.dumps(row(2), ensure_ascii=False).encode()[:cut])  # in the middle of a letter, too
    again = opened(path)
    assert again.rows == [row(1)] and path.read_bytes() == whole
    again.add(row(3))
    assert on_disk(path) == [row(1), row(3)]


def test_a_last_line_without_its_end_counts(path):
    path.parent.mkdir()
    path.write_text(json.dumps(row(1)), encoding="utf-8")
    answers = opened(path)
    answers.add(row(2))
    assert on_disk(path) == [row(1), row(2)]


def test_a_row_is_taken_back_and_the_others_stay_as_they_were_written(path, tmp_path):
    path.parent.mkdir()
    path.write_text('{"rater_id":"kim",  "diary_id":"d0","rating":1}\n\n', encoding="utf-8")
    path.chmod(0o640)
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    answers = opened(link)
    answers.add(row(1))
    answers.add(row(2))
    answers.take_back(row(1))
    answers.add(row(3))
    assert path.read_text(encoding="utf-8").startswith('{"rater_id":"kim",  "diary_id":"d0","rating":1}\n\n{')
    assert on_disk(path)[1:] == answers.rows[1:] == [row(2), row(3)]
    assert [each.name for each in path.parent.iterdir()] == ["ratings.jsonl"]
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(InputError, match="another page is writing to it"):
        opened(path)


def test_one_program_at_a_time_writes(path):
    first = opened(path)
    with pytest.raises(InputError, match=r"ratings.jsonl: another page is writing to it. Rate there"):
        opened(path)
    first.close()
    opened(path).close()


@pytest.mark.parametrize(
    "content",
    [
        b"# notes\n\nno newline",
        b"\xff\xfe\x00",
        b'{"diary_id": "d", "rater_id": "k", "rating": 0.7}\n',
        b"[1]\n",
        b'{"event": 1}\n{"event": 2',
        b'{"event": 1}',
        b'{"event": 1',
        b'{"diary_id": "d1"}\n{"diary_id',
    ],
)
def test_a_file_that_is_not_ours_is_left_alone(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match="ratings.jsonl"):
        opened(path)
    assert path.read_bytes() == content
    with pytest.raises(InputError, match="cannot be written"):
        opened(path.parent)


def test_where_the_disk_is_full_nothing_is_half_written(path):
    answers = opened(path)
    answers.add(row(0))
    answers.add(row(1))
    whole = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, before[0][1]))
        with pytest.raises(OSError):
            answers.add(row(2))
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[0][1]))
        with pytest.raises(OSError):
            answers.take_back(row(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])
    assert path.read_bytes() == whole and answers.rows == [row(0), row(1)]
    assert [each.name for each in path.parent.iterdir()] == ["ratings.jsonl"]
    answers.add(row(2))
    assert on_disk(path) == [row(0), row(1), row(2)]

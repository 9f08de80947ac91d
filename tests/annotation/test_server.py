"""Who may speak to the page, and what it gives out: plain HTTP, as an attacker would speak it."""

import json
import random
import re
import signal
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from types import SimpleNamespace

import pytest

from annotation.answers import Answers
from annotation.items import Item
from annotation.tasks import Rate
from memozy.records import InputError
from tests.annotation.serving import Command, serving

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def served(tmp_path):
    photo, secret = tmp_path / "photo", tmp_path / "page.png"
    photo.write_bytes(PNG)
    secret.write_bytes(b"<svg onload=alert(1)>")
    items = [
        Item("prompt-A-1", ("글",), {}, {}, photo),
        Item("prompt-A-2", ("글",), {}, {}, secret),
        Item("prompt-A-3", ("글",), {}, {}),
    ]
    with serving(items, tmp_path / "ratings.jsonl") as server:
        yield server


def speak(server, method="GET", path="", body=None, **headers):
    """(status, body, headers) of one request, by default one that the page itself would send."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    own = f"127.0.0.1:{server.server_port}"
    told = {"Host": own} | ({"Origin": f"http://{own}", "Content-Type": "application/json"} if method == "POST" else {})
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    path = path if path.startswith("/") else f"/{server.word}/{path}"
    connection.request(method, path, body, {name: value for name, value in told.items() if value is not None})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


ANSWER = json.dumps({"rater": "kim", "place": 0, "value": 0.5})


def test_the_page_and_its_parts_are_given_to_who_knows_the_word(served):
    assert len(served.word) >= 32 and served.server_address[0] == "127.0.0.1"
    status, page, headers = speak(served)
    assert status == 200 and "<!doctype html>" in page.decode()
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
    assert [
        speak(served, path=part)[0] for part in ("page.css", "page.js", "rank.js", "parts.js", "state?rater=kim")
    ] == [200] * 5
    assert speak(served, Host=f"localhost:{served.server_port}")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/wrong/", "/wrong/state?rater=kim", "//", "/../../etc/passwd", "/%2e%2e/"]
)
def test_who_does_not_know_the_word_gets_nothing(served, path):
    assert speak(served, path=path)[:2] == (404, b"Not Found")
    assert speak(served, "POST", path, ANSWER)[0] == 404


@pytest.mark.parametrize(
    "path",
    ["../server.py", "page.html.j2", "photo/", "photo/../0", "photo/-1", "photo/99", "photo/" + "9" * 5000, "photo/x"],
)
def test_no_other_file_is_given_out(served, path):
    assert speak(served, path=path)[0] == 404


def test_a_photo_is_given_and_what_only_looks_like_one_is_not(served):
    status, content, headers = speak(served, path="photo/0")
    assert (status, content, headers["Content-Type"], headers["X-Content-Type-Options"]) == (
        200,
        PNG,
        "image/png",
        "nosniff",
    )
    assert speak(served, path="photo/1")[0] == speak(served, path="photo/2")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_name_is_refused(served, host):
    assert speak(served, Host=host)[0] == 421 and speak(served, "POST", "answer", ANSWER, Host=host)[0] == 421


@pytest.mark.parametrize("headers, status", [
    ({"Origin": None}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://evil.example"}, 403), ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Content_Type": "text/plain"}, 415), ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content_Length": "20000"}, 413), ({"Content_Length": "x"}, 413), ({"Content_Length": "9" * 30}, 413),
])  # fmt: skip
def test_what_another_site_could_send_is_refused(served, headers, status):
    assert speak(served, "POST", "answer", ANSWER, **headers)[0] == status
    assert served.desk.answers.rows == []


@pytest.mark.parametrize("path, body, status", [
    ("answer", "{", 400), ("answer", "[]", 400), ("answer", "{}", 400), ("answer", '{"rater": ["kim"]}', 400), ("answer", b"\xff", 400), ("answer", "[" * 9000, 400),
    ("answer", '{"rater": "kim"}', 409), ("answer", '{"rater": "kim", "place": 0, "value": NaN}', 409),
    ("answer", '{"rater": "k/m", "place": 0, "value": 1}', 409), ("undo", '{"rater": "kim"}', 409), ("nothing", '{"rater": "kim"}', 404),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(served, path, body, status):
    assert speak(served, "POST", path, body)[0] == status
    assert served.desk.answers.rows == []


def test_what_is_told_to_the_page_names_no_diary(served):
    status, content, _ = speak(served, "POST", "answer", ANSWER)
    assert status == 200 and json.loads(content)["answered"] == 1
    assert b"prompt-A" not in content and b"prompt-A" not in speak(served)[1]


def test_a_disk_that_cannot_be_written_is_said(served, monkeypatch, capfd):
    monkeypatch.setattr(
        "annotation.answers.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    status, content, _ = speak(served, "POST", "answer", ANSWER)
    assert (status, json.loads(content)) == (507, {"why": "no_disk"})
    assert "NOT saved" in capfd.readouterr().err and served.desk.answers.path.read_bytes() == b""


def test_names_in_the_file_are_inert(served):
    served.desk.answer("김'&x", 0, 1.0)
    assert "김&#39;&amp;x" in speak(served)[1].decode()


def test_a_port_that_is_taken_is_said(served, tmp_path):
    with pytest.raises(InputError, match=r"field '--port', value \d+: cannot be used"):
        with serving([], tmp_path / "other.jsonl", port=served.server_port):
            pass


def test_killed_at_any_moment_it_keeps_what_it_said_was_saved_and_nothing_else(table, tmp_path):
    out, levels, rng = tmp_path / "ratings.jsonl", (-1.0, -0.5, 0.0, 0.5, 1.0), random.Random(1)
    diaries = table([{"diary_id": f"d{n}", "text": f"글 {n}"} for n in range(3000)])
    saved: dict[str, dict] = {name: {} for name in ("kim", "lee", "park")}  # by rater: place -> level

    def work(server, rater, doubtful):
        """Answers and takes back until the server is gone; `doubtful`: the step that it did not answer to."""
        rng, mine = random.Random(rater), saved[rater]
        place = len(mine)
        with suppress(OSError, HTTPException):
            while True:
                step = "undo" if mine and rng.random() < 0.2 else "answer"
                told = {"rater": rater, "place": place, "value": rng.choice(levels)}
                doubtful[rater] = place - 1 if step == "undo" else place
                assert speak(server, "POST", step, json.dumps(told))[0] == 200
                if step == "undo":
                    place -= 1
                    del mine[place]
                else:
                    mine[place] = told["value"]
                    place += 1

    for _ in range(3):
        command, doubtful = Command(diaries, "--out", out, "--double", "1"), {}
        _, port, word = re.match(r"http://([^:]+):(\d+)/(.+)/", command.url).groups()
        server = SimpleNamespace(server_port=int(port), word=word)
        raters = [threading.Thread(target=work, args=(server, name, doubtful)) for name in saved]
        for thread in raters:
            thread.start()
        time.sleep(rng.uniform(0.3, 0.8))
        command.end(signal.SIGKILL)
        for thread in raters:
            thread.join()
        answers = Answers(out, Rate.fault)  # as the next start reads it
        for rater, mine in saved.items():
            found = {int(row["diary_id"][1:]): row["rating"] for row in answers.rows if row["rater_id"] == rater}
            sure = {place: level for place, level in mine.items() if place != doubtful[rater]}
            assert {place: level for place, level in found.items() if place != doubtful[rater]} == sure
            saved[rater] = found
        answers.close()
    assert all(saved.values())

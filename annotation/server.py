"""The page, to this machine alone.

It listens on the loopback address, behind a random word in its address that other users of the machine and other sites
in the browser don't know. A request from a page of another origin, or by another host name (DNS rebinding), is
refused. The page loads nothing from elsewhere, and what comes from files is shown as text.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sys
import threading
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from annotation.desk import Desk, Refused
from annotation.words import WORDS, language
from memozy import reports
from memozy.records import RATING_LEVELS, InputError

HERE = Path(__file__).parent
SCRIPTS = ("page.js", "rank.js", "parts.js")
LARGEST = 10_000  # bytes of a request's body
PHOTOS = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}  # no SVG: it may hold scripts
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip


class Server(ThreadingHTTPServer):
    """Serves a desk. `url`: where; it ends with the secret word."""

    daemon_threads = True

    def __init__(
        self, desk: Desk, mode: str, *, port: int = 0, rater: str | None = None, lang: str | None = None
    ) -> None:
        """mode: "rate" or "rank"; port 0: any that is free; rater: who is asked no name; lang: None as the browser likes.

        Raises InputError for a port that is taken.
        """
        try:
            super().__init__(("127.0.0.1", port), _Page)
        except OSError as error:
            raise InputError(
                f"cannot be used ({error.strerror})",
                field="--port",
                value=port,
                remedy="Leave it out: any free one is taken",
            ) from None
        self.desk, self.mode, self.rater, self.lang = desk, mode, rater, lang
        self.lock = threading.Lock()
        self.word = secrets.token_urlsafe(24)
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}
        self.url = f"http://127.0.0.1:{self.server_port}/{self.word}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is no error; anything else is a defect, and its traceback is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Page(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a silent connection is kept

    def do_GET(self) -> None:
        what, query = self._asked()
        if what is None:
            return
        if what == "":
            lang = self.server.lang or language(self.headers.get("Accept-Language"))
            self._send(
                _html(self.server.mode, lang, self.server.rater, tuple(self.server.desk.raters)),
                "text/html; charset=utf-8",
            )
        elif what == "page.css":
            self._send(_css(), "text/css; charset=utf-8")
        elif what in SCRIPTS:
            self._send((HERE / what).read_bytes(), "text/javascript; charset=utf-8")
        elif what == "state":
            self._do(lambda desk: None, parse_qs(query).get("rater", [""])[0])
        elif what.startswith("photo/"):
            self._photo(what.removeprefix("photo/"))
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        what, _ = self._asked()
        if what is None:
            return
        if self.headers.get("Origin") not in {f"http://{host}" for host in self.server.hosts}:
            return self._refuse(HTTPStatus.FORBIDDEN)
        if self.headers.get_content_type() != "application/json":
            return self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > LARGEST:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            told = json.loads(self.rfile.read(int(length)))
            rater, place, value = told["rater"], told.get("place"), told.get("value")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return self._refuse(HTTPStatus.BAD_REQUEST)
        if not isinstance(rater, str):
            return self._refuse(HTTPStatus.BAD_REQUEST)
        steps: dict[str, Callable[[Desk], None]] = {
            "answer": lambda desk: desk.answer(rater, place, value),
            "skip": lambda desk: desk.skip(rater, place),
            "undo": lambda desk: desk.undo(rater),
            "again": lambda desk: desk.again(rater),
        }
        if what not in steps:
            return self._refuse(HTTPStatus.NOT_FOUND)
        self._do(steps[what], rater)

    def _asked(self) -> tuple[str | None, str]:
        """What is asked for below the secret word, and with what; None where the request was refused."""
        path, _, query = self.path.partition("?")
        word, slash, what = path.removeprefix("/").partition("/")
        if self.headers.get("Host") not in self.server.hosts:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
        elif not slash or not hmac.compare_digest(word.encode(), self.server.word.encode()):
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            return what, query
        return None, ""

    def _do(self, step: Callable[[Desk], None], rater: str) -> None:
        """Take a step and tell what comes next."""
        status, told = HTTPStatus.OK, {}
        with self.server.lock:
            try:
                step(self.server.desk)
                told = self.server.desk.state(rater)
            except Refused as refused:
                status, told = HTTPStatus.CONFLICT, {"why": refused.why}
            except OSError as error:
                print(f"NOT saved: {self.server.desk.answers.path}: {error.strerror}", file=sys.stderr, flush=True)
                status, told = HTTPStatus.INSUFFICIENT_STORAGE, {"why": "no_disk"}
        self._send(json.dumps(told, ensure_ascii=False).encode(), "application/json", status)

    def _photo(self, place: str) -> None:
        items = self.server.desk.items
        photo = items[int(place)].image if place.isdecimal() and len(place) < 9 and int(place) < len(items) else None
        try:
            content = photo.read_bytes() if photo else b""
        except OSError:
            content = b""
        kind = next((kind for magic, kind in PHOTOS.items() if content.startswith(magic)), None)
        if kind is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        self._send(content, kind)

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # its body was not read
        self._send(status.phrase.encode(), "text/plain; charset=utf-8", status)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def version_string(self) -> str:
        return "memozy"

    def log_message(self, *_: object) -> None:
        """Nothing: addresses hold the secret word."""


@cache
def _css() -> bytes:
    return reports.page(HERE / "page.css.j2").encode()


def _html(mode: str, lang: str, rater: str | None, raters: tuple[str, ...]) -> bytes:
    words = WORDS[lang]
    return reports.page(
        HERE / "page.html.j2", mode=mode, lang=lang, words=words, rater=rater, raters=raters, levels=RATING_LEVELS
    ).encode()

"""Draws docs/rate.png: python -m tests.annotation.screenshot (needs data/ and a browser)."""

from pathlib import Path
from tempfile import TemporaryDirectory

from annotation.items import read
from tests.annotation.serving import serving
from tests.browser import started

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (1.0, 0.5, 0.0, 0.5, -0.5, -1.0)


def draw(picture: Path) -> None:
    items = read(ROOT / "data/diaries.jsonl", ROOT / "data/contexts.jsonl")[:60]
    with (
        TemporaryDirectory() as scratch,
        serving(items, Path(scratch) / "ratings.jsonl", double=0.4) as server,
        started() as new_page,
    ):
        for n, place in enumerate(place for place, wanted in enumerate(server.desk.wanted) if wanted == 2):
            server.desk.answer("하늘", place, LEVELS[n % 6])
            server.desk.answer("민지", place, LEVELS[(n + (n % 5 == 0)) % 6])
        page = new_page(locale="ko-KR", viewport={"width": 1200, "height": 640})
        page.goto(server.url)
        page.click("text=민지")
        page.wait_for_selector("#work:not([hidden])")
        page.mouse.move(5, 400)
        page.keyboard.press("4")
        page.wait_for_selector("#told.good")
        page.wait_for_timeout(500)  # until everything stands still
        page.screenshot(path=picture)


if __name__ == "__main__":
    draw(ROOT / "docs/rate.png")

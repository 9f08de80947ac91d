"""The page in a real browser; see tests/browser.py for what fails a test by itself."""

import json
import signal
from dataclasses import replace

import pytest

from annotation.items import Item
from memozy import rating_files
from memozy.preferences import read_pairs
from tests.annotation.serving import Command, serving
from tests.pages import EVIL

READY = "body:not([aria-busy=true])"  # a step takes a moment, so that the second half of a double click answers nothing
LEVELS = {"1": -1.0, "2": -0.5, "3": 0.0, "4": 0.5, "5": 1.0}
DIARIES = [
    {"diary_id": f"d{n:02d}", "context_id": f"c{n:02d}", "prompt_id": "A", "text": f"{n}번째 날, 바다에 갔다."}
    for n in range(20)
]
ITEMS = [
    Item(row["diary_id"], (row["text"],), {"context_id": row["context_id"]}, {"place": "해운대", "mood": "기쁨"})
    for row in DIARIES
]
OUTPUTS = Item("c1", ("가 일기", "나 일기", "다 일기", "라 일기"), {"context_id": "c1"}, {})


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def enter(page, url, name):
    page.goto(url)
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#work:not([hidden])")


def press(page, key):
    """Press a key, and wait until the page says that the step was taken."""
    page.wait_for_selector(READY)
    before = page.inner_text("#so-far"), page.inner_text("#item")
    page.keyboard.press(key)
    page.wait_for_function("([far, item]) => document.getElementById('done').hidden === false"
                           " || document.getElementById('so-far').innerText !== far"
                           " || document.getElementById('item').innerText !== item", arg=list(before))  # fmt: skip


def rate(page, keys, given):
    for key in keys:
        given[page.inner_text("#text")] = LEVELS[key]
        press(page, key)


def test_a_request_that_would_leave_the_machine_is_stopped_and_told(browser):
    page = browser()
    page.set_content("<img src='http://example.com/x.png'>")
    page.wait_for_function("() => document.images[0].complete")
    assert "left the machine: http://example.com/x.png" in page.faults
    page.faults.clear()


def test_twenty_diaries_by_keyboard_with_a_reload_and_a_kill_in_the_middle(browser, table, tmp_path):
    out, given = tmp_path / "ratings.jsonl", {}
    diaries = table(DIARIES)
    first, page = Command(diaries, "--out", out), browser(locale="ko-KR")
    enter(page, first.url, "김 민지")
    assert page.title() == "일기 평가 · memozy" and page.get_attribute("html", "lang") == "ko"
    rate(page, "1234512", given)
    shown = page.inner_text("#text")
    page.reload()  # who rates is known, and so is where
    page.wait_for_selector("#work:not([hidden])")
    assert page.inner_text("#text") == shown and page.inner_text("#so-far") == "7 / 20"
    rate(page, "345", given)
    first.end(signal.SIGKILL)
    assert {row["text"]: row["rating"] for row in rows(out)} == given and len(given) == 10
    page.wait_for_selector(READY)
    page.keyboard.press("1")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "저장되지 않았습니다" in page.inner_text("#trouble")
    assert page.faults.pop().endswith("net::ERR_CONNECTION_REFUSED")

    again = Command(diaries, "--out", out)
    assert "which has 10" in again.said
    page.goto(again.url)
    page.click("text=김 민지")
    page.wait_for_selector("#work:not([hidden])")
    assert page.inner_text("#so-far") == "10 / 20"
    rate(page, "5432154321", given)
    assert page.is_visible("#done") and "20개가 저장되어" in page.inner_text("#done")
    assert f"20 ratings in {out}" in again.end(signal.SIGINT) and again.process.returncode == 0

    taken = rating_files.read(out, None)
    assert taken.quarantine.is_empty() and taken.n_repeated == 0 and set(taken.ratings["rater_id"]) == {"김 민지"}
    texts = dict(taken.diaries.select("diary_id", "text").iter_rows())
    assert {texts[d]: level for d, level in taken.ratings.select("diary_id", "rating").iter_rows()} == given
    assert dict(taken.diaries.select("diary_id", "context_id").iter_rows()) == {
        row["diary_id"]: row["context_id"] for row in DIARIES
    }


def test_text_from_files_is_shown_as_text(browser, tmp_path):
    evil = Item("d", (EVIL,), {}, dict.fromkeys(("place", "people", "mood", "photo"), EVIL))
    with serving([evil], tmp_path / "out.jsonl") as server:
        page = browser()
        enter(page, server.url, "lee")
        assert page.inner_text("#text") == EVIL and page.locator("#about dd").all_inner_texts() == [EVIL] * 4
        assert page.locator("#item script, #item img[src]").count() == 0
    with serving([replace(OUTPUTS, texts=(EVIL, "글"))], tmp_path / "ranks.jsonl", "rank") as server:
        page = browser()
        enter(page, server.url, "lee")
        assert EVIL in order(page) and page.locator("#item script, #outputs img").count() == 0


def test_undo_and_later_by_key_and_by_click(browser, tmp_path):
    out = tmp_path / "out.jsonl"
    with serving(ITEMS[:3], out) as server:
        page = browser(locale="en-US")
        enter(page, server.url, "kim")
        assert page.is_disabled("#undo")
        first = page.inner_text("#text")
        press(page, "5")
        press(page, "z")
        assert page.inner_text("#text") == first and rows(out) == [] and page.inner_text("#told") == "Taken back"
        press(page, "s")
        second = page.inner_text("#text")
        page.wait_for_selector(READY)
        page.dblclick("text=So-so")  # its second half is no rating of the next diary
        page.wait_for_function("() => document.getElementById('so-far').innerText === '1 of 3'")
        assert [(row["text"], row["rating"]) for row in rows(out)] == [(second, 0.0)]
        press(page, "Backspace")
        assert page.inner_text("#text") == second
        press(page, "1")
        press(page, "2")
        assert "You put off 1" in page.inner_text("#done")
        page.wait_for_selector(READY)
        page.click("#again")
        page.wait_for_selector("#work:not([hidden])")
        assert page.inner_text("#text") == first
        press(page, "4")
        assert page.inner_text("#done h2") == "All done. Thank you!"
        assert sorted(row["rating"] for row in rows(out)) == [-1.0, -0.5, 0.5]


def test_two_raters_at_once_and_their_agreement(browser, tmp_path):
    out = tmp_path / "out.jsonl"
    with serving(ITEMS[:12], out, double=1.0) as server:
        kim, lee = browser(locale="en-US"), browser(locale="en-US")
        enter(kim, server.url, "kim")
        enter(lee, server.url, "lee")
        assert "10 more diaries" in kim.inner_text("#agreement")
        for n in range(12):
            for page in (kim, lee):
                press(page, str(1 + int(page.inner_text("#text").split("번")[0]) % 4) if n else "5")
        assert kim.is_visible("#done") and lee.is_visible("#done")
        assert "from 12 diaries that two people rated" in lee.inner_text("#agreement") and "α = 0." in lee.inner_text(
            "#agreement"
        )
    taken = rating_files.read(out, None)
    assert taken.ratings.height == 24 and taken.quarantine.is_empty() and taken.diaries.height == 12


def order(page):
    return [text.strip() for text in page.locator(".output p").all_inner_texts()]


def test_a_list_is_ranked_by_keys(browser, tmp_path):
    with serving([OUTPUTS], tmp_path / "out.jsonl", "rank") as server:
        page = browser(locale="ko-KR")
        enter(page, server.url, "kim")
        a, b, c, d = order(page)
        for key in ("ArrowDown", "Enter", "ArrowUp", "Enter"):  # b before a
            page.keyboard.press(key)
        for key in ("ArrowDown", "ArrowDown", "="):  # c ties with a
            page.keyboard.press(key)
        assert order(page) == [b, a, c, d]
        assert page.locator(".output b").all_inner_texts() == ["1", "2", "2", "4"]
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#done:not([hidden])")
    [row] = rows(tmp_path / "out.jsonl")
    assert [row["ranked"][0], sorted(row["ranked"][1]), row["ranked"][2]] == [b, sorted([a, c]), d]
    pairs = read_pairs(tmp_path / "out.jsonl")
    assert set(pairs.select("chosen", "rejected").iter_rows()) == {(b, a), (b, c), (b, d), (a, d), (c, d)}
    assert set(pairs["context_id"]) == set(pairs["group_id"]) == {"c1"}


def test_a_list_is_ranked_by_mouse(browser, tmp_path):
    with serving([OUTPUTS], tmp_path / "out.jsonl", "rank") as server:
        page = browser(viewport={"width": 390, "height": 844})
        enter(page, server.url, "kim")
        a, b, c, d = order(page)
        last, first = (page.locator(".output .grip").nth(n).bounding_box() for n in (3, 0))
        page.mouse.move(last["x"] + 10, last["y"] + 20)
        page.mouse.down()
        page.mouse.move(first["x"] + 10, first["y"] - 5, steps=8)
        page.mouse.up()
        assert order(page) == [d, a, b, c] and page.locator(".held").count() == 0
        page.locator(".output").nth(1).get_by_text("▼").click()
        page.locator(".output").nth(3).locator(".tie").click()
        assert order(page) == [d, b, a, c]
        for n in (1, 2):
            page.locator(".output").nth(n).locator(".tie").click()
        page.click("#save")
        page.wait_for_function("() => document.getElementById('told').className === 'bad'")  # all tie: that is no order
        assert page.faults.pop().startswith("Failed to load resource") and not (tmp_path / "out.jsonl").read_bytes()
        page.locator(".output").nth(1).locator(".tie").click()
        page.wait_for_selector(READY)
        page.click("#save")
        page.wait_for_selector("#done:not([hidden])")
    assert read_pairs(tmp_path / "out.jsonl").height == 3  # d before three that tie


@pytest.mark.parametrize("options", [{"viewport": {"width": 360, "height": 640}}, {"color_scheme": "dark"}])
def test_it_can_be_read_on_a_phone_and_in_the_dark(browser, tmp_path, options):
    with serving([*ITEMS, OUTPUTS], tmp_path / "out.jsonl") as server:
        page = browser(locale="en-US", **options)
        enter(page, server.url, "kim")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        names = page.evaluate(
            "[...document.querySelectorAll('button:not([hidden])')].map(b => b.innerText || b.ariaLabel).filter(n => !n.trim())"
        )
        assert names == [] and page.evaluate("document.activeElement.id") == "text"
        ratios = page.evaluate(CONTRASTS)
        assert min(ratios.values()) >= 4.5, ratios  # WCAG 2.2, AA


CONTRASTS = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (e) => { const c = getComputedStyle(e).backgroundColor; return c.endsWith(", 0)") || c.includes("color(") ? ground(e.parentElement) : c; };
  return Object.fromEntries(["#text", "#about dt", ".level b", ".level span", ".level kbd", "legend", "#so-far", "#skip", "#agreement"].map((name) => {
    const e = document.querySelector(name), [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    return [name, (a + .05) / (b + .05)];
  }));
}"""

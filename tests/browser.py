"""A real browser: the system's Chromium, which may speak to this machine alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def started() -> Iterator[Callable]:
    """A maker of pages: takes what `browser.new_context` takes, each page with a profile of its own.

    `page.faults` holds what went wrong on it: lines of its console that are errors, exceptions, and requests that were
    to leave the machine, which are stopped.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)

        def new_page(**options):
            page = browser.new_context(**options).new_page()
            page.set_default_timeout(15_000)
            page.faults = []
            page.on("console", lambda line: line.type == "error" and page.faults.append(line.text))
            page.on("pageerror", lambda error: page.faults.append(str(error)))
            page.on("dialog", lambda dialog: (page.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
            page.context.route(
                lambda url: urlsplit(url).hostname not in ("127.0.0.1", "localhost"), lambda route: stop(page, route)
            )
            return page

        yield new_page
        browser.close()


def stop(page, route) -> None:
    page.faults.append(f"left the machine: {route.request.url}")
    route.abort()


@pytest.fixture(scope="module")  # no longer: while Playwright runs, no other test of the process could call asyncio.run
def _browser():
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}")
    with started() as new_page:
        yield new_page


@pytest.fixture
def browser(_browser):
    """Makes pages; the test fails where one of them had a fault."""
    pages = []

    def new_page(**options):
        pages.append(_browser(**options))
        return pages[-1]

    yield new_page
    faults = [fault for page in pages for fault in page.faults]
    for page in pages:
        page.context.close()
    assert not faults, faults

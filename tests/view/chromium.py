"""A real Chromium: the system's own, because a package index has none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
SCREENSHOTS = "HEADWATER_SCREENSHOTS"  # a folder: the tests leave pictures of the page there


def find_chromium() -> str:
    """Return the browser's path; without one the tests fail, because a page that nobody looked at is not tested."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"no browser: expected one of {', '.join(NAMES)}; install one (Debian: apt-get install chromium)"
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser."""
    with sync_playwright() as playwright:
        sandbox = [] if os.getuid() else ["--no-sandbox"]  # root has none
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=sandbox)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Yield a page at `url`; at the end it has told no error, refused nothing and shown no dialog."""
    options.setdefault("viewport", {"width": 1280, "height": 800})
    context = browser.new_context(**options)
    page = context.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("dialog", lambda dialog: told.append(f"dialog: {dialog.message}"))  # it stays open, and the test with it
    page.on("request", lambda request: told.append(request.url) if "//127.0.0.1:" not in request.url else None)
    page.goto(url)
    yield page
    assert told == []
    context.close()


def picture(page: Page, name: str) -> None:
    """Leave a screenshot where one is asked for."""
    if folder := os.environ.get(SCREENSHOTS):
        page.wait_for_timeout(700)  # rows glide
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)

"""A headless Chromium for the tests of the inspector's page, and a page that must not complain."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

T = TypeVar("T")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "this test drives Debian's chromium: apt-get install chromium"
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=flags) as browser:
        yield browser


def elsewhere(call: Callable[[], T]) -> T:
    """Call a function in a thread of its own: in this one playwright has an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


class Looked:
    """A page that must not complain: what the console says and what is thrown are kept."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        self.page: Page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on(
            "console", lambda message: self.troubles.append(message.text) if message.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: self.troubles.append("a dialog was opened"))
        self.page.goto(address)

    def close(self, *, unless: str = "$^") -> None:
        self.context.close()
        assert [each for each in self.troubles if not re.search(unless, each)] == []


def position(page: Page) -> int:
    """Return the position in the page's address."""
    return int(page.url.rpartition("/")[2])


def picture(page: Page, name: str) -> None:
    """Take a picture for the documentation, if `make pictures` asks for it."""
    folder = os.environ.get("PICTURES")
    if folder:
        page.wait_for_timeout(400)  # what is drawn when nothing moves any more
        page.evaluate("() => document.querySelector('dialog') ?? document.activeElement.blur()")
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")

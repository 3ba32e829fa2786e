"""A real headless Chromium for the tests of pages; they skip with the remedy where there is none.

def test_a_page(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, tmp_path / "index.html") as page:
        page.get_by_role("link", name="Samples").click()
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "no Chromium on the PATH; on Debian: apt-get install chromium"
SERIOUS = ("serious", "critical")


def executable() -> str | None:
    """The system's browser; `STEPCODER_CHROMIUM` names another."""
    return os.environ.get("STEPCODER_CHROMIUM") or next(
        filter(None, map(shutil.which, NAMES)), None
    )


@contextmanager
def launched() -> Iterator[Browser]:
    """The browser; the test skips where there is none."""
    path = executable()
    if path is None:
        pytest.skip(REMEDY)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def opened(browser: Browser, path: Path, address: str = "", **context: Any) -> Iterator[Page]:
    """A page from the file system; on leaving, its console must be without errors.

    Args:
        browser: the module's.
        path: an HTML file.
        address: what follows in the address, such as `#samples`.
        context: options of the browser's context, such as `color_scheme="dark"`.
    """
    settings = {"viewport": {"width": 1440, "height": 900}, **context}
    made = browser.new_context(**settings)
    page = made.new_page()
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.absolute().as_uri() + address)
    try:
        yield page
        assert errors == [], errors
    finally:
        made.close()


def serious_findings(page: Page, *rules: str) -> list[str]:
    """What axe-core finds to be a serious obstacle for people, by all its rules or by some."""
    from axe_playwright_python.sync_playwright import Axe

    # Without the style sheets that axe would fetch, which a page from the file system may not.
    options = {"preload": False, **({"runOnly": list(rules)} if rules else {})}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"][:3]
    ]

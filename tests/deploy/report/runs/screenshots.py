"""Screenshots of pages that `stepcoder report` wrote, as the documentation shows them.

    python -m tests.deploy.report.runs.screenshots ONE/report.html SEVERAL/report.html docs/images

The first page is of one run, the second of several.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from tests.browser import launched, opened
from tests.deploy.inspection.screenshots import store

SIZE = {"width": 1440, "height": 1260}


def take(browser: Browser, one: Path, several: Path, out: Path) -> list[Path]:
    """Write an image of the beginning of each page, and one of the curriculum in dark colours."""
    written = []
    for name, path, part, scheme in (
        ("report-run", one, "", "light"),
        ("report-curriculum", one, "#section-curriculum", "dark"),
        ("report-outcomes", one, "#section-outcomes", "light"),
        ("report-several", several, "", "light"),
    ):
        with opened(browser, path, color_scheme=scheme, viewport=SIZE) as page:
            _drawn(page)
            image = out / f"{name}.png"
            if part:
                page.locator(part).screenshot(path=image)
            else:
                page.screenshot(path=image)
            store(image)
            written.append(image)
    return written


def _drawn(page: Page) -> None:
    """Wait until every chart is; a heat map takes several frames."""
    page.locator(".plot:has(canvas)").last.wait_for()
    page.wait_for_timeout(1500)


if __name__ == "__main__":
    one, several, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    with launched() as started:
        for path in take(started, one, several, out):
            print(f"{path}: {Image.open(path).size}, {path.stat().st_size >> 10} KiB")

"""Screenshots of a folder that `stepcoder inspect` wrote, as the documentation shows them.

python -m tests.deploy.inspection.screenshots runs/smoke/inspect docs/images inspect
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from tests.browser import launched, opened

COLOURS = 256
"""Of a stored image: flat colours need no more, and a third of the bytes."""


def interesting_group(site: Path) -> int:
    """The group with the most different outcomes, of those that have a token that was not executed;
    the last of them.
    """
    best, number = (False, 0, -1), 0
    for path in sorted((site / "data").glob("groups-*.js")):
        text = path.read_text()
        for group in json.loads(text[text.index(",") + 1 : text.rindex(")")]):
            outcomes = {sample["outcome"] for sample in group["samples"]}
            missed = any("n" in sample["states"] for sample in group["samples"])
            best = max(best, (missed, len(outcomes), number))
            number += 1
    return best[2]


def take(browser: Browser, site: Path, out: Path, stem: str) -> list[Path]:
    """Write one image per view: list, group, sample, and the card of a token."""
    group = interesting_group(site)
    views = {
        "samples": ("#samples?tier=interview&sort=-step", "light"),
        "group": (f"#group/{group}", "light"),
        "sample": ("", "light"),
        "sample-dark": ("", "dark"),
    }
    written: list[Path] = []
    for name, (address, scheme) in views.items():
        with opened(browser, site / "index.html", address, color_scheme=scheme) as page:
            if not address:
                _open_a_sample(page, group)
            page.wait_for_timeout(300)
            path = out / f"{stem}-{name}.png"
            page.screenshot(path=path)
            store(path)
            written.append(path)
    return written


def store(path: Path) -> None:
    """Write an image again with fewer colours."""
    image = Image.open(path).convert("RGB")
    # The median cut merges rare colours: marks of two outcomes become one. The means restore what
    # the other way shifts, such as the background.
    image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1).save(path, optimize=True)


def _open_a_sample(page: Page, group: int) -> None:
    """A sample of the group with a token that was not learned from, whose card is shown."""
    page.goto(f"{page.url.partition('#')[0]}#group/{group}")
    page.locator(".sample-card").first.wait_for()
    partly = page.locator(".sample-card:has(.t.n) header a, .sample-card header a")
    masked = page.locator(".sample-card:has(.t.n):not(:has(header .o-passed)) header a")
    (masked if masked.count() else partly).first.click()
    shown = page.locator(".primary .completion .t")  # the group's view has completions as well
    shown.first.wait_for()
    missed = page.locator(".primary .completion .t.n")
    hover_token((missed if missed.count() else shown).first)


def hover_token(token: Locator) -> None:
    """Point at the widest part of a token: one that ends its line stands on two lines."""
    token.scroll_into_view_if_needed()
    x, y = token.evaluate(
        "(token) => { const [box] = [...token.getClientRects()].sort((a, b) => b.width - a.width);"
        " return [box.x + box.width / 2, box.y + box.height / 2]; }"
    )
    token.page.mouse.move(x, y)


if __name__ == "__main__":
    site, out, stem = sys.argv[1:]
    Path(out).mkdir(parents=True, exist_ok=True)
    with launched() as started:
        for path in take(started, Path(site), Path(out), stem):
            print(f"{path}: {path.stat().st_size >> 10} KiB")

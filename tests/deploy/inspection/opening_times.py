"""Opening times of the pages of `stepcoder inspect`, from disk, in a browser that knows none of it.

    python -m tests.deploy.inspection.opening_times FOLDER 500 5000 50000

For each number of seeded samples: the folder's size, the time until the list is drawn, the time
until a sample is drawn, and the time between frames while the list is scrolled: as by a wheel,
three rows a frame, and as by its bar, a 120th of the list a frame.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser

from deploy.inspection.groups import Group
from deploy.inspection.site import build_site
from tests.browser import launched, opened
from tests.deploy.inspection.seeded_groups import SAMPLES_EACH, seeded_groups, seeded_source

REPEATS = 5
DISTINCT = 1600
"""Samples that are made; a larger folder repeats them in further steps."""
FRAMES = 120
_SCROLL = """async ([frames, pixels]) => {
  const list = document.querySelector(".scroller"), times = [];
  const frame = () => new Promise(requestAnimationFrame);
  list.scrollTop = 0;
  let last = await frame();
  for (let at = 1; at <= frames; at++) {
    list.scrollTop = at * (pixels || (list.scrollHeight - list.clientHeight) / frames);
    const now = await frame();
    times.push(now - last);
    last = now;
  }
  return times.sort((a, b) => a - b);
}"""
WHEEL, BAR = 114, 0
"""Pixels of a frame; 0 goes through the whole list."""


def many(samples: int) -> Iterator[Group]:
    """So many samples, in steps of 16 groups."""
    made = list(seeded_groups(min(samples, DISTINCT)))
    for number, group in enumerate(islice(cycle(made), samples // SAMPLES_EACH)):
        yield replace(group, step=number // 16 + 1)


def opening(browser: Browser, site: Path, address: str, ready: str) -> float:
    """Milliseconds from the navigation to what `ready` selects being drawn; the median."""
    times = []
    for _ in range(REPEATS):
        with opened(browser, site / "index.html", "#none") as page:
            page.goto("about:blank")
            started = time.perf_counter()
            page.goto((site / "index.html").absolute().as_uri() + address, wait_until="commit")
            page.locator(ready).first.wait_for()
            times.append(1e3 * (time.perf_counter() - started))
    return median(times)


def measure(browser: Browser, folder: Path, samples: int) -> str:
    """One row of the table."""
    site = folder / f"{samples}"
    began = time.perf_counter()
    build_site(seeded_source(samples // 128 + 1), many(samples), site)
    built = time.perf_counter() - began
    size = sum(path.stat().st_size for path in site.rglob("*")) / 1e6
    listed = opening(browser, site, "#samples", ".rows .row")
    sample = opening(browser, site, f"#sample/{samples // 2}", ".completion .t")
    with opened(browser, site / "index.html") as page:
        page.locator(".rows .row").first.wait_for()
        frames = {by: page.evaluate(_SCROLL, [FRAMES, by]) for by in (WHEEL, BAR)}
        began = time.perf_counter()
        page.get_by_label("Text of a completion").fill("best")
        page.locator(".searching", has_text="sample").wait_for()
        search = 1e3 * (time.perf_counter() - began)
    shutil.rmtree(site)
    wheel, bar = (
        f"{median(times):.0f} / {times[int(0.99 * FRAMES)]:.0f} ms" for times in frames.values()
    )
    return (
        f"| {samples:,} | {size:.0f} MB | {built:.1f} s | {listed:.0f} ms | {sample:.0f} ms | "
        f"{wheel} | {bar} | {search:.0f} ms |"
    )


if __name__ == "__main__":
    place, *counts = sys.argv[1:]
    Path(place).mkdir(parents=True, exist_ok=True)
    with launched() as started:
        for count in map(int, counts):
            print(measure(started, Path(place), count), flush=True)

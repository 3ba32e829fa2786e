"""A report: read the runs, write its page and pictures, and again while a run is live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from actors.runs.folder import RunFolder
from deploy.errors import ConfigError
from deploy.report.runs.content import Content, report_content
from deploy.report.runs.history import RunHistory
from deploy.report.runs.page import write_data, write_page
from deploy.report.runs.pictures import write_pictures

FOLDER = "report"


def default_folder(runs: Sequence[Path]) -> Path:
    """Where the report goes: into its run, or beside the first of several."""
    return runs[0] / FOLDER if len(runs) == 1 else runs[0].parent / FOLDER


def write_report(runs: Sequence[Path], folder: Path, pictures: bool = True) -> Path:
    """Write the page and, beside it, a picture of every chart; returns the page's path.

    Raises:
        ConfigError: a folder holds no run, or something else; one is given twice.
    """
    content = _content(runs)
    folder.mkdir(parents=True, exist_ok=True)
    path = write_page(content, folder)
    if pictures:
        write_pictures(content.charts, folder)
    return path


def watch_report(
    runs: Sequence[Path], folder: Path, every_s: float, look: Callable[[], None]
) -> Iterator[Path]:
    """Write the report, then again whenever a run has written more, until all have finished.

    Yields the page's path each time. An open page reads what is new by itself.

    Args:
        runs: folders of the runs.
        folder: of the page.
        every_s: time between two looks [seconds].
        look: called before each of them, to fetch what is new in a store.
    """
    content = _content(runs)
    folder.mkdir(parents=True, exist_ok=True)
    seen = _state(runs)
    yield write_page(content, folder)
    while content.live:
        time.sleep(every_s)
        look()
        if (now := _state(runs)) == seen:
            continue
        seen, content = now, _content(runs)
        path = write_page(content, folder)
        if not content.live:
            write_data(content, folder)  # an open page learns that the run has finished
        yield path
    write_pictures(content.charts, folder)


def _content(runs: Sequence[Path]) -> Content:
    places = [run.resolve() for run in runs]
    for run, place in zip(runs, places, strict=True):
        if places.count(place) > 1:
            raise ConfigError(f"{run}: given twice; a mean would count it twice")
    return report_content([RunHistory.read(run) for run in runs])


def _state(runs: Sequence[Path]) -> list[tuple[int, bool]]:
    """What tells that a run has written more."""
    files = [RunFolder(run) for run in runs]
    return [
        (file.metrics.stat().st_size if file.metrics.exists() else 0, file.result.exists())
        for file in files
    ]

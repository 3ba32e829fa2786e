"""`stepcoder report`: a page of charts of one or several runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.errors import ConfigError

logger = logging.getLogger(__name__)

app = App(
    name="report",
    help_epilogue="""\
Examples:
  stepcoder report runs/smoke
  stepcoder report runs/smoke --watch                       while it trains
  stepcoder report runs/fgo runs/no-mask --out runs/masks   overlaid
  stepcoder report runs/fgo-1 runs/fgo-2                    seeds: bands
  stepcoder report s3://bucket/runs/smoke                   fetches its figures""",
)


@app.default
def report(
    *runs: Annotated[str, Parameter(help="Folders or URLs of the runs.")],
    out: Annotated[Path | None, Parameter(help="Folder of the page [RUN/report].")] = None,
    watch: Annotated[bool, Parameter(help="Write it again while a run is under way.")] = False,
    every: Annotated[
        float | None,
        Parameter(help="Seconds between two looks with --watch [5; 60 for a run at a URL]."),
    ] = None,
) -> int:
    """Write one HTML page with the charts of runs, and each chart as a PNG beside it."""
    if not runs:
        raise ConfigError("report: no run given, such as runs/smoke")
    if every is not None and every <= 0:
        raise ConfigError(f"--every {every:g}: must be above 0")
    from deploy.config.places import is_url
    from deploy.report.runs.write import default_folder, watch_report, write_report
    from deploy.stored.fetch import figures, local_folder

    folders = [local_folder(run, figures) for run in runs]
    folder = out or default_folder(folders)
    if not watch:
        print(f"report: {write_report(folders, folder)}")
        return 0
    urls = [run for run in runs if is_url(run)]

    def look() -> None:
        for url in urls:
            try:
                local_folder(url, figures)
            except ConfigError as error:
                logger.warning("%s", error)

    seconds = every or (60.0 if urls else 5.0)
    for number, path in enumerate(watch_report(folders, folder, seconds, look)):
        if not number:
            print(f"report: {path}; Ctrl-C ends the watch", flush=True)
    print("every run has finished")
    return 0

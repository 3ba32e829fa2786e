"""`stepcoder report`: a page of charts of one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.errors import ConfigError

app = App(
    name="report",
    help_epilogue="""\
Examples:
  stepcoder report runs/smoke
  stepcoder report runs/smoke --watch                       while it trains
  stepcoder report runs/fgo runs/no-mask --out runs/masks   overlaid
  stepcoder report runs/fgo-1 runs/fgo-2                    seeds: bands""",
)


@app.default
def report(
    *runs: Annotated[Path, Parameter(help="Folders of the runs.")],
    out: Annotated[Path | None, Parameter(help="Folder of the page [RUN/report].")] = None,
    watch: Annotated[bool, Parameter(help="Write it again while a run is under way.")] = False,
    every: Annotated[float, Parameter(help="Seconds between two looks with --watch.")] = 5.0,
) -> int:
    """Write one HTML page with the charts of runs, and each chart as a PNG beside it."""
    if not runs:
        raise ConfigError("report: no run given, such as runs/smoke")
    if every <= 0:
        raise ConfigError(f"--every {every:g}: must be above 0")
    from deploy.report.runs.write import default_folder, watch_report, write_report

    folder = out or default_folder(runs)
    if not watch:
        print(f"report: {write_report(runs, folder)}")
        return 0
    for number, path in enumerate(watch_report(runs, folder, every)):
        if not number:
            print(f"report: {path}; Ctrl-C ends the watch", flush=True)
    print("every run has finished")
    return 0

"""`stepcoder ablate report`: tables, page and Markdown of stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.errors import ConfigError

app = App(
    name="report",
    help_epilogue="""\
Examples:
  stepcoder ablate report runs/ablation/results
  stepcoder ablate report runs/ablation/results -o page.html
  stepcoder ablate report docs/results --markdown docs/results.md

A folder holds the results of one grid, or a folder for each of several grids.
The same results make the same bytes. Runs of one arm and seed in several
folders are reruns.""",
)


@app.default
def report(
    *folders: Annotated[Path, Parameter(help="Folders of stored results.")],
    out: Annotated[
        Path | None, Parameter(("--out", "-o"), help="Write the page of one grid here.")
    ] = None,
    markdown: Annotated[Path | None, Parameter(help="Write the Markdown page here.")] = None,
) -> int:
    """Print what stored results say, and write it as a page or as Markdown."""
    from curriculum.files import write_atomic
    from deploy.report.ablation.console import print_grid
    from deploy.report.ablation.grids import read_grids
    from deploy.report.ablation.markdown import results_markdown
    from deploy.report.ablation.page import write_grid_page

    if not folders:
        raise ConfigError("ablate report: no folder given, such as runs/ablation/results")
    grids = read_grids(folders)
    if not grids and markdown is None:
        raise ConfigError(
            f"{', '.join(map(str, folders))}: no stored results; `stepcoder ablate` makes some"
        )
    if out is not None and len(grids) != 1:
        raise ConfigError(f"--out {out}: a page shows one grid, and there are {len(grids)} here")
    for grid in grids:
        print_grid(grid)
    if out is not None:
        write_grid_page(grids[0], out)
        print(f"\npage: {out}")
    if markdown is not None:
        write_atomic(markdown, results_markdown(grids))
        print(f"\nmarkdown: {markdown}")
    return 0

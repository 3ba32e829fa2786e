"""`stepcoder data stats`: a data set in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from curriculum.datasets.registry import Skipped
from deploy.commands.data.source import (
    ALL_KINDS,
    Kinds,
    Selection,
    SourcePath,
    report_skipped,
    start_point_kinds,
)

app = App(
    name="stats",
    help_epilogue="Examples:\n  stepcoder data stats problems.jsonl --plot problems.png",
)


@app.default
def stats(
    source: SourcePath,
    /,
    *,
    kinds: Kinds = ALL_KINDS,
    plot: Annotated[
        Path | None, Parameter(help="Picture to draw, named .png, .svg or .pdf.")
    ] = None,
    selection: Selection | None = None,
) -> int:
    """Count tiers, lengths, start points and stages."""
    from curriculum.datasets.statistics import count
    from deploy.report.data_tables import print_statistics

    chosen = start_point_kinds(kinds)
    if plot:
        from deploy.report.data_plot import check_picture, plot_statistics

        check_picture(plot)
    skipped = Skipped()
    counts = count((selection or Selection()).read(source, skipped), chosen)
    report_skipped(skipped)
    print_statistics(counts, source)
    if plot:
        plot_statistics(counts, source, plot)
        print(f"{plot}: drawn")
    return 0

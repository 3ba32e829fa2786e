"""`stepcoder compare`: two runs side by side in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(
    name="compare",
    help_epilogue="Examples:\n  stepcoder compare runs/fgo runs/no-mask\n"
    "  stepcoder eval compare runs/eval/a runs/eval/b   two evaluations",
)


@app.default
def compare(
    a: Annotated[Path, Parameter(help="Folder of one run.")],
    b: Annotated[Path, Parameter(help="Folder of the other.")],
    /,
) -> int:
    """Print two runs side by side, finished or not, with what differs in their configuration.

    Evaluations are paired by problem: the difference of b from a with its 95 % interval.
    """
    from deploy.report.runs.comparison_table import print_run_comparison
    from deploy.report.runs.history import RunHistory

    print_run_comparison(RunHistory.read(a), RunHistory.read(b))
    return 0

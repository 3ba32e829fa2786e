"""`stepcoder compare`: two runs side by side in the terminal."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

app = App(
    name="compare",
    help_epilogue="Examples:\n  stepcoder compare runs/fgo runs/no-mask\n"
    "  stepcoder eval compare runs/eval/a runs/eval/b   two evaluations",
)


@app.default
def compare(
    a: Annotated[str, Parameter(help="Folder or URL of one run.")],
    b: Annotated[str, Parameter(help="Folder or URL of the other.")],
    /,
) -> int:
    """Print two runs side by side, finished or not, with what differs in their configuration.

    Evaluations are paired by problem: the difference of b from a with its 95 % interval.
    """
    from deploy.report.runs.comparison_table import print_run_comparison
    from deploy.report.runs.history import RunHistory
    from deploy.stored.fetch import figures, local_folder

    first, second = (RunHistory.read(local_folder(run, figures)) for run in (a, b))
    print_run_comparison(first, second)
    return 0

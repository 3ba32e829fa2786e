"""`stepcoder result`: the result table of a finished run."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from deploy.errors import ConfigError

app = App(name="result", help_epilogue="Examples:\n  stepcoder result runs/smoke")


@app.default
def result(run: Annotated[str, Parameter(help="The run's folder or URL.")], /) -> int:
    """Print the result table of a finished run."""
    from deploy.report.result_table import print_result, read_result
    from deploy.stored.fetch import figures, local_folder
    from deploy.stored.listing import runs_in

    folder = local_folder(run, figures)
    try:
        numbers = read_result(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{run}: no finished run there (no result.json)"
            + (runs_in(folder) or "; an interrupted run goes on with `stepcoder train --resume`")
        ) from None
    print_result(numbers, folder)
    return 0

"""`stepcoder result`: the result table of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.errors import ConfigError

app = App(name="result", help_epilogue="Examples:\n  stepcoder result runs/smoke")


@app.default
def result(folder: Annotated[Path, Parameter(help="The run's folder.")], /) -> int:
    """Print the result table of a finished run."""
    from deploy.report.result_table import print_result, read_result

    try:
        numbers = read_result(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{folder}: no finished run there (no result.json); an interrupted run goes on with "
            "`stepcoder train --resume`"
        ) from None
    print_result(numbers, folder)
    return 0

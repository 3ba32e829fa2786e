"""`stepcoder ablate power`: which differences a grid can see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.errors import ConfigError

app = App(
    name="power",
    help_epilogue="""\
Examples:
  stepcoder ablate power
  stepcoder ablate power --heldout 300 --samples 8 --seeds 5 --difference 0.05
  stepcoder ablate power --from runs/ablation/results     the spread of these runs
  stepcoder ablate power --spread 0.03                    your own

A difference is of the pass@1 of two arms, paired by seed, in a two-sided t test
at 95 %.""",
)


@app.default
def power(
    *,
    heldout: Annotated[int, Parameter(help="Held-out problems of a tier.")] = 150,
    samples: Annotated[int, Parameter(help="Samples of each problem.")] = 6,
    seeds: Annotated[int, Parameter(help="Seeds of each arm.")] = 7,
    difference: Annotated[
        float, Parameter(help="Also tell how many seeds see this difference.")
    ] = 0.05,
    source: Annotated[
        Path | None,
        Parameter("--from", help="Take the spread of the results stored in this folder."),
    ] = None,
    spread: Annotated[
        float | None,
        Parameter(help="Standard deviation of an arm between seeds by training alone."),
    ] = None,
) -> int:
    """Print the smallest difference that is seen with 80 % power, and the seeds that one needs."""
    if heldout < 1 or samples < 1 or seeds < 2:
        raise ConfigError("--heldout and --samples must be at least 1, --seeds at least 2")
    if not 0 < difference < 1:
        raise ConfigError(f"--difference {difference:g}: must be above 0 and below 1")
    if spread is not None and (source is not None or not 0 <= spread < 1):
        raise ConfigError("--spread must be at least 0 and below 1, and cannot go with --from")
    from rich.console import Console

    from deploy.report.ablation.power_table import power_plan
    from deploy.report.ablation.table import print_table

    table = power_plan(heldout, samples, seeds, difference, source, spread)
    print_table(table, Console(width=120, highlight=False))
    return 0

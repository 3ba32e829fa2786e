"""`stepcoder chaos`: a run on simulated nodes while its parts are killed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.cluster.authentication import use_token_authentication
from deploy.commands.configuration import Configuration, takes_configuration
from deploy.logs import log_to_stdout

app = App(
    name="chaos",
    help_epilogue="""\
Examples:
  stepcoder chaos --config deploy/profiles/chaos.yaml
  stepcoder chaos --config deploy/profiles/chaos.yaml --every 5
  stepcoder chaos --config deploy/profiles/chaos.yaml \\
      --kinds engine,node --kills 4""",
)


@app.default
@takes_configuration()
def chaos(
    configuration: Configuration,
    *,
    every: Annotated[float, Parameter(help="Seconds from one kill to the next.")] = 10,
    kill_seed: Annotated[int, Parameter(help="Seed of what is killed, and when.")] = 1,
    kinds: Annotated[
        str | None, Parameter(help="What may be killed, separated by commas; all by default.")
    ] = None,
    kills: Annotated[
        int | None, Parameter(help="Kills after which the run is left alone; no end by default.")
    ] = None,
    reference: Annotated[
        Path | None,
        Parameter(help="Folder of a finished undisturbed run, instead of running one."),
    ] = None,
    limit: Annotated[float, Parameter(help="Longest run [seconds].")] = 3600,
) -> int:
    """Run a configuration undisturbed, then again while its parts are killed, and compare both."""
    log_to_stdout()
    config = configuration.load()
    use_token_authentication()
    from deploy.chaos.monkey import KINDS, Plan
    from deploy.chaos.run import chaos
    from deploy.report.chaos_table import print_comparison

    plan = Plan(every, kinds.split(",") if kinds else KINDS, kill_seed, kills)
    comparison = chaos(config, plan, limit, reference)
    print_comparison(comparison)
    return 0 if comparison.passed else 1

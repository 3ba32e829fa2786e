"""`stepcoder train`: warm start, RL and evaluation."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from deploy.commands.configuration import Configuration, takes_configuration
from deploy.logs import log_to_stdout

app = App(
    name="train",
    help_epilogue="""\
Examples:
  stepcoder train --config deploy/profiles/local.yaml
  stepcoder train --config deploy/profiles/local.yaml --name hot \\
      --rollout.temperature 1.2
  stepcoder train --config deploy/profiles/local.yaml --name hot \\
      --resume --loop.steps 90
  stepcoder train --config P --learner.mask_covers "[policy, value]"   YAML
  stepcoder config --config P --explain learner.mask                   one key""",
)


@app.default
@takes_configuration()
def train(
    configuration: Configuration,
    *,
    resume: Annotated[
        bool,
        Parameter(
            help="Continue from the last checkpoint; with --overwrite, begin again without one."
        ),
    ] = False,
    overwrite: Annotated[bool, Parameter(help="Replace a run of the same name.")] = False,
) -> int:
    """Train a policy and print the result table."""
    log_to_stdout()
    config = configuration.load()
    from deploy.report.result_table import print_result
    from deploy.train import train

    result = train(config, resume=resume, overwrite=overwrite)
    print_result(result, config.local_runs / config.name)
    return 0

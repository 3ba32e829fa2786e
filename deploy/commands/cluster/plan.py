"""`stepcoder plan`: what a run takes, where it fits, and what it costs."""

from __future__ import annotations

import json
import math
from typing import Annotated

from cyclopts import App, Parameter

from deploy.commands.configuration import Configuration, takes_configuration
from deploy.errors import ConfigError

app = App(
    name="plan",
    help_epilogue="""\
Examples:
  stepcoder plan --config deploy/profiles/local.yaml
  stepcoder plan --config deploy/profiles/gpu-8.yaml \\
      --gpu h100-80,a100-40 --price 3,1.5
  stepcoder plan --config runs/smoke/config.yaml --run runs/smoke \\
      --price 0.4 --json

Memory is arithmetic. Seconds are estimates from data sheets, or those of a run (--run). The exit
status is 0 where at least one kind of GPU fits, else 1.""",
)


@app.default
@takes_configuration("model", "rollout", "learner", "loop", "placement", "pool", "weights")
def plan(
    configuration: Configuration,
    *,
    gpu: Annotated[
        str | None,
        Parameter(help="Kinds of GPU with their memory, separated by commas: h100-80,a100-40."),
    ] = None,
    price: Annotated[
        str | None,
        Parameter(
            help="Price of one GPU for an hour, one for each kind or one for all; without GPUs, of "
            "all machines."
        ),
    ] = None,
    run: Annotated[
        str | None,
        Parameter(help="Take the seconds of this run (folder or URL) of the same configuration."),
    ] = None,
    tokens: Annotated[
        float | None,
        Parameter(help="Mean length of a completion; by default half of rollout.max_new_tokens."),
    ] = None,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON, for programs.")] = False,
) -> int:
    """Print memory, fit, seconds and cost of a run, before anything is started."""
    from deploy.plan.gpus import parse_gpus
    from deploy.plan.run_plan import make_plan, policy_shape
    from deploy.report.plan_table import print_plan
    from deploy.stored.fetch import figures, local_folder

    config = configuration.load()
    gpus = parse_gpus(gpu) if gpu is not None else []
    if gpus and config.placement.accelerator == "cpu":
        raise ConfigError(f"--gpu {gpu}: placement.accelerator is cpu, so that the run uses none")
    if not gpus and config.placement.accelerator == "gpu":
        raise ConfigError(
            "placement.accelerator is gpu: name the GPUs to plan for, such as --gpu h100-80,a100-40"
        )
    longest = config.rollout.max_new_tokens
    if tokens is not None and not 1 <= tokens <= longest:
        raise ConfigError(
            f"--tokens {tokens:g}: a completion has 1 to {longest} tokens (rollout.max_new_tokens)"
        )
    prices = _prices(price, max(1, len(gpus)))
    folder = local_folder(run, figures) if run is not None else None
    made = make_plan(config, policy_shape(config), gpus, prices, folder, tokens)
    if as_json:
        print(json.dumps(made.as_json(), indent=2))
    else:
        print_plan(made)
    return int(not any(device.fits for device in made.devices))


def _prices(text: str | None, kinds: int) -> list[float] | None:
    """A price for each kind.

    Raises:
        ConfigError: no numbers above 0, or not one for each kind.
    """
    if text is None:
        return None
    try:
        prices = [float(part) for part in text.split(",")]
    except ValueError:
        prices = []
    if not prices or not all(price > 0 and math.isfinite(price) for price in prices):
        raise ConfigError(f"--price {text}: expected numbers above 0, such as 2.5 or 3,1.5")
    if len(prices) == 1:
        prices *= kinds
    if len(prices) != kinds:
        raise ConfigError(f"--price {text}: {len(prices)} prices for {kinds} kinds of GPU")
    return prices

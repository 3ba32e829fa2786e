"""`stepcoder ablate`: a grid of arms and seeds, its arms, its power, its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.commands.configuration import Configuration, takes_configuration
from deploy.config.load import PROFILES
from deploy.logs import log_to_stdout

app = App(
    name="ablate",
    help_epilogue="""\
Examples:
  stepcoder ablate
  stepcoder ablate --arms full,no-fgo,random-mask --seeds 4-8
  stepcoder ablate --profile my.yaml --out runs/mine
  stepcoder ablate arms
  stepcoder ablate power --seeds 7
  stepcoder ablate report runs/ablation/results

Without --profile it is the shipped benchmark, deploy/profiles/ablation.yaml.
The same command goes on where an earlier one was stopped. Arms: full, no-fgo,
no-cccs, ppo, random-mask, linear, adaptive, drawn, unguided, fade,
rest, own-prefixes, error-mask, random-error, divergence, random-divergence,
group, group-no-fgo. What each is, `stepcoder ablate arms` says.""",
)
BENCHMARK = PROFILES / "ablation.yaml"
"""The profile where none is named: the defaults train no policy that could be compared."""
_COMMANDS = {
    "arms": "List the arms.",
    "power": "Say which differences a grid can see, before it is run.",
    "report": "Write tables and page of stored results.",
}
for _position, (_name, _summary) in enumerate(_COMMANDS.items()):
    app.command(
        f"deploy.commands.ablate.{_name}:app", name=_name, help=_summary, sort_key=_position
    )


@app.default
@takes_configuration(
    "data", "sft", "curriculum", "learner", "loop", profile=("--profile", "--config")
)
def ablate(
    configuration: Configuration,
    *,
    arms: Annotated[
        str, Parameter(help="Arms, separated by commas; `core` and `all` stand for several.")
    ] = "core",
    seeds: Annotated[
        str, Parameter(help="How many (5 is 1 to 5), a range (4-8), or a list (1,3; 7,).")
    ] = "5",
    reruns: Annotated[int, Parameter(help="Repetitions of every run with the same seed.")] = 0,
    jobs: Annotated[
        int | None, Parameter(help="Runs at a time; by default one for two free cores.")
    ] = None,
    out: Annotated[Path, Parameter(help="Folder of the grid.")] = Path("runs/ablation"),
    results: Annotated[
        Path | None, Parameter(help="Folder of the stored results [OUT/results].")
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Begin every run again, whatever there is of it.")
    ] = False,
) -> int:
    """Train every arm with every seed, and compare them."""
    log_to_stdout()
    from deploy.ablation.arms import pick_arms
    from deploy.ablation.units import Layout, parse_seeds
    from deploy.commands.ablate.run import run_grid

    if configuration.profile is None:
        configuration = replace(configuration, profile=BENCHMARK)
    root = out.absolute()
    layout = Layout(root, (results or root / "results").absolute())
    return run_grid(
        configuration, pick_arms(arms), parse_seeds(seeds), reruns, jobs, layout, overwrite
    )

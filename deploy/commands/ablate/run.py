"""The grid behind `stepcoder ablate`: what is left to do is run, stored and reported."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Sequence

from deploy.ablation.arms import Arm
from deploy.ablation.collect import collect_run
from deploy.ablation.grid import Grid
from deploy.ablation.progress import GridProgress
from deploy.ablation.runner import Outcome, TrainProcess, run_units
from deploy.ablation.stored import read_stored, write_stored
from deploy.ablation.units import Layout, State, Unit, grid_units, state_of
from deploy.commands.configuration import Configuration
from deploy.errors import ConfigError
from deploy.threads import free_cores

CORES_OF_A_RUN = 2
"""Cores that a run keeps busy: an engine and sandboxes, or the learner."""

logger = logging.getLogger(__name__)


def run_grid(
    configuration: Configuration,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    reruns: int,
    jobs: int | None,
    layout: Layout,
    overwrite: bool,
) -> int:
    """Run what is left of a grid, store each result, and compare; returns the exit status.

    The first run makes the warm start of all; others that begin meanwhile wait for it.

    Raises:
        ConfigError: the grid cannot be run with these arguments, or not into this folder.
    """
    if reruns < 0 or (jobs is not None and jobs < 1):
        raise ConfigError("--reruns must be at least 0 and --jobs at least 1")
    overrides = configuration.override_arguments()
    units = grid_units(arms, seeds, reruns, configuration.profile, overrides, layout)
    grid_name = configuration.load().name
    states = {unit.name: State.new if overwrite else state_of(unit, layout) for unit in units}
    if overwrite:
        for unit in units:
            layout.stored(unit).unlink(missing_ok=True)
    left = [unit for unit in units if states[unit.name] is not State.stored]
    jobs = _jobs(jobs)
    logger.info(
        "%s: %d runs (%s; seeds %s), %d stored already; %d at a time, below %s",
        grid_name, len(units), ", ".join(arm.name for arm in arms),
        ", ".join(map(str, seeds)), len(units) - len(left), jobs, layout.root,
    )  # fmt: skip
    try:
        outcome = _run(units, states, layout, grid_name, jobs) if left else Outcome()
    except BaseException as error:
        stored = sum(layout.stored(unit).exists() for unit in units)
        error.add_note(f"{stored} of {len(units)} runs are stored; go on with the same command:")
        error.add_note(f"  stepcoder {shlex.join(sys.argv[1:])}")
        raise
    _report(units, layout)
    for name, reason in outcome.failed.items():
        logger.error("%s failed: %s", name, reason)
    if outcome.failed:
        logger.error("the same command tries the failed runs again")
    return int(bool(outcome.failed))


def _run(
    units: Sequence[Unit], states: dict[str, State], layout: Layout, grid: str, jobs: int
) -> Outcome:
    def store(unit: Unit) -> None:
        switch = unit.arm.overrides
        run = collect_run(unit.folder, grid, unit.arm.name, unit.seed, unit.rerun, switch)
        write_stored(run, layout.results)

    finished = sum(state is State.stored for state in states.values())
    with GridProgress(len(units), finished) as progress:
        return run_units(
            units,
            states,
            lambda unit, resume: TrainProcess(unit, resume, layout),
            store,
            progress,
            jobs,
        )


def _jobs(given: int | None) -> int:
    """Runs at a time.

    Raises:
        ConfigError: several were asked for, and all would join one Ray cluster.
    """
    if os.environ.get("RAY_ADDRESS"):
        if given is not None and given > 1:
            raise ConfigError(
                f"--jobs {given}: RAY_ADDRESS is set, so that all runs would share one cluster; "
                "unset it to give each run its own"
            )
        return 1
    return given if given is not None else max(1, free_cores() // CORES_OF_A_RUN)


def _report(units: Sequence[Unit], layout: Layout) -> None:
    """Print and write what the stored results of these runs say."""
    stored = [layout.stored(unit) for unit in units]
    runs = [read_stored(path) for path in stored if path.exists()]
    if not runs:
        return
    from deploy.report.ablation.console import print_grid
    from deploy.report.ablation.page import write_grid_page

    grid = Grid.of(runs)
    print_grid(grid)
    write_grid_page(grid, layout.page)
    print(f"\nresults: {layout.results}\npage: {layout.page}")

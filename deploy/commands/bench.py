"""`stepcoder bench`: the benchmarks; each prints a table, writes a file, and tells whether every
figure reached its target.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.cluster.authentication import use_token_authentication
from deploy.commands.simulation_options import SimulationOptions
from deploy.errors import ConfigError, DeployError

logger = logging.getLogger(__name__)

app = App(
    name="bench",
    help_epilogue="""\
Examples:
  stepcoder bench sandbox --quick           make bench-sandbox ARGS=--quick
  stepcoder bench fleet --workers 1,2
  stepcoder bench fleet --simulate 512 --slots 10000
  stepcoder bench fleet --simulate 64 --slots 256 --run runs/hot
  stepcoder bench learner --rounds 5        `make bench-learner` installs TRL

The exit status is 0 if every figure reached its target, else 1.""",
)

Out = Annotated[Path, Parameter(help="Folder of the results.")]
RESULTS = Path("runs/bench")
NO_SIMULATION = SimulationOptions()
ROUNDS, WORKERS = 5, "1,2,4,8"
"""What `bench fleet` measures by default."""
Rounds = Annotated[int, Parameter(help="Rounds of each comparison.")]


@app.command
def sandbox(
    *,
    rounds: Rounds = 7,
    soak: Annotated[
        int | None,
        Parameter(help="Only run this many programs while containers are killed (sandbox-soak)."),
    ] = None,
    quick: Annotated[
        bool, Parameter(help="2 rounds and 500 programs, a first look (sandbox-quick).")
    ] = False,
    out: Out = RESULTS,
) -> int:
    """Measure throughput, the cost of coverage, deadlines and endurance (needs Docker)."""
    if rounds < 1 or (soak is not None and soak < 10):
        raise ConfigError("--rounds must be at least 1 and --soak at least 10")
    from deploy.bench.record import run_benchmark
    from deploy.bench.sandbox import measure as benchmark
    from deploy.bench.sandbox import soak as soak_benchmark

    if soak is not None:
        return run_benchmark("sandbox-soak", soak_benchmark.measure(soak), out)
    if quick:
        return run_benchmark("sandbox-quick", benchmark.measure(2, 500), out)
    figures = benchmark.measure(rounds, soak_benchmark.SHORT_SOAK_PROGRAMS)
    return run_benchmark("sandbox", figures, out)


@app.command
def curriculum(
    *,
    problems: Annotated[int, Parameter(help="Problems in the file that is streamed.")] = 100_000,
    observations: Annotated[int, Parameter(help="Observations of each schedule.")] = 1_000_000,
    out: Out = RESULTS,
) -> int:
    """Measure loading, cutting and observing problems."""
    from deploy.bench.curriculum.measure import MIN_PROBLEMS, measure
    from deploy.bench.record import run_benchmark

    if problems < MIN_PROBLEMS or observations < 1:
        raise ConfigError(
            f"--problems must be at least {MIN_PROBLEMS} and --observations at least 1"
        )
    return run_benchmark("curriculum", measure(problems, observations, out / "cache"), out)


@app.command
def fleet(
    *,
    rounds: Rounds = ROUNDS,
    workers: Annotated[str, Parameter(help="Fleet sizes, separated by commas.")] = WORKERS,
    out: Out = RESULTS,
    simulation: SimulationOptions = NO_SIMULATION,
) -> int:
    """Measure rollouts against bare vLLM, weight broadcasts and the training loop.

    With --simulate nothing is measured: a fleet that this machine cannot hold
    is simulated by measured costs (no GPU, no Ray; seconds for 64 engines,
    minutes for thousands). It says how full each part is, and what helps.
    actors/SCALING.md has the assumptions and what they come to.
    """
    if simulation.simulate is not None:
        if (rounds, workers) != (ROUNDS, WORKERS):
            raise ConfigError(
                "--rounds and --workers are of what is measured; with --simulate, --steps and "
                "--sweep say how many steps and which sizes"
            )
        return _simulate(simulation, out)
    simulation.check_unused()
    try:
        sizes = [int(size) for size in workers.split(",")]
    except ValueError:
        raise ConfigError(f"--workers {workers}: expected numbers separated by commas") from None
    if rounds < 1 or min(sizes) < 1:
        raise ConfigError("--rounds and every size in --workers must be at least 1")
    use_token_authentication()
    from deploy.bench.fleet.measure import measure
    from deploy.bench.record import run_benchmark

    return run_benchmark("fleet", measure(rounds, sizes, _log_stage), out)


def _simulate(simulation: SimulationOptions, out: Path) -> int:
    given, sizes, measured = (
        simulation.assumptions(), simulation.sizes(), simulation.measurements(),
    )  # fmt: skip
    from deploy.bench.fleet.simulator.table import simulate

    try:
        return simulate(given, sizes, measured, out)
    except TimeoutError as error:
        raise DeployError(f"bench fleet --simulate: {error}") from error


@app.command
def learner(*, rounds: Rounds = 5, out: Out = RESULTS) -> int:
    """Measure one update against TRL's and one with full logits, and the memory of the loss."""
    if rounds < 1:
        raise ConfigError("--rounds must be at least 1")
    from deploy.bench.learner.measure import measure
    from deploy.bench.record import run_benchmark

    try:
        return run_benchmark("learner", measure(rounds), out)
    except RuntimeError as error:
        raise DeployError(f"bench learner: {error}") from error


def _log_stage(stage: str) -> None:
    logger.info("%s ...", stage)

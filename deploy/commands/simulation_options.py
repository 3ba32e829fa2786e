"""The options of `stepcoder bench fleet --simulate`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter
from pydantic import ValidationError

from actors.errors import RunFailed
from curriculum.errors import first_fault
from deploy.errors import ConfigError

if TYPE_CHECKING:
    from deploy.bench.fleet.simulator.assumptions import Assumptions

_GROUP = Group("Simulation")
_MOST_SLOTS = 16
_LARGER = (2, 8)
"""Sizes of larger fleets, as multiples."""


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True)
class SimulationOptions:
    """A fleet that is simulated; None: as in actors/SCALING.md."""

    simulate: Annotated[
        int | None,
        Parameter(help="Measure nothing: simulate so many engines by measured costs."),
    ] = None
    sweep: Annotated[
        str | None,
        Parameter(
            help="Larger fleets, separated by commas; none if empty; twice and 8 times as many."
        ),
    ] = None
    slots: Annotated[
        int | None, Parameter(help="Sandbox slots: pool.workers x slots of each; 10000.")
    ] = None
    slots_per_worker: Annotated[
        int | None,
        Parameter(help="As pool.slots_per_worker; 16, or the next less that divides --slots."),
    ] = None
    engines_per_collector: Annotated[
        int | None, Parameter(help="As rollout.engines_per_collector; 8.")
    ] = None
    engines_per_node: Annotated[int | None, Parameter(help="Engines of a node; 8.")] = None
    tokens_per_s: Annotated[
        float | None, Parameter(help="Most tokens of an engine in a second; 2500.")
    ] = None
    sequence_tokens_per_s: Annotated[
        float | None, Parameter(help="Most tokens of one sequence in a second; 160.")
    ] = None
    max_num_seqs: Annotated[int | None, Parameter(help="As rollout.max_num_seqs; 128.")] = None
    tokens: Annotated[float | None, Parameter(help="Mean length of a completion; 400.")] = None
    tokens_spread: Annotated[
        float | None, Parameter(help="Standard deviation of the length's logarithm; 0.6.")
    ] = None
    max_tokens: Annotated[int | None, Parameter(help="Longest completion; 2048.")] = None
    program_s: Annotated[float | None, Parameter(help="Mean time of a program [seconds]; 0.1.")] = (
        None
    )
    prompts: Annotated[int | None, Parameter(help="Prompts of a step; 2 for each engine.")] = None
    samples: Annotated[int | None, Parameter(help="Samples of a prompt; 8.")] = None
    max_staleness: Annotated[int | None, Parameter(help="As loop.max_staleness; 1.")] = None
    learner_s: Annotated[float | None, Parameter(help="Time of an update [seconds]; 1.")] = None
    broadcast_s: Annotated[
        float | None, Parameter(help="Time of a broadcast, engines paused [seconds]; 0.3.")
    ] = None
    heartbeat_s: Annotated[float | None, Parameter(help="As rollout.heartbeat_s [seconds]; 5.")] = (
        None
    )
    learner_ranks: Annotated[int | None, Parameter(help="As placement.learner_ranks; 16.")] = None
    network_gb_s: Annotated[
        float | None, Parameter(help="Network of the driver's node [GB/s]; 50.")
    ] = None
    steps: Annotated[
        int | None,
        Parameter(help="Steps that are measured, up to a multiple of max_staleness + 1; 3."),
    ] = None
    seed: Annotated[int | None, Parameter(help="Of lengths and times; 1.")] = None
    run: Annotated[
        Path | None,
        Parameter(help="Draw lengths and program times from the recorded rollouts of this run."),
    ] = None
    costs: Annotated[
        Path | None,
        Parameter(
            help="Costs of messages: JSON that `python -m deploy.bench.fleet.message_costs` "
            "prints; those that it lacks are ours."
        ),
    ] = None
    measured: Annotated[
        Path | None,
        Parameter(help="A fleet.json of this benchmark that predictions are held against."),
    ] = None

    def check_unused(self) -> None:
        """Refuse what only a simulation reads.

        Raises:
            ConfigError: names the option.
        """
        for name, value in dataclasses.asdict(self).items():
            if value is not None:
                raise ConfigError(f"--{name.replace('_', '-')} needs --simulate")

    def assumptions(self) -> Assumptions:
        """The fleet.

        Raises:
            ConfigError: a value or a file that cannot be used; names the option.
        """
        from deploy.bench.fleet.simulator.assumptions import Assumptions, read_costs, recorded

        assert self.simulate is not None
        given: dict[str, Any] = {
            name: value for name, value in dataclasses.asdict(self).items() if value is not None
        }
        for name in ("simulate", "sweep", "run", "costs", "measured"):
            given.pop(name, None)
        given["engines"] = self.simulate
        given.setdefault("prompts", 2 * self.simulate)
        if self.slots is not None:
            given.setdefault("slots_per_worker", _slots_per_worker(self.slots))
        try:
            if self.costs is not None:
                given["costs"] = read_costs(self.costs)
        except (OSError, ValueError) as error:
            raise ConfigError(f"--costs {self.costs}: {_first(error)}") from None
        try:
            if self.run is not None:
                given |= recorded(self.run)
        except (OSError, RunFailed) as error:
            raise ConfigError(f"--run {error}") from None
        try:
            made = Assumptions.model_validate(given)
        except ValidationError as error:
            key, why = first_fault(error)
            option = "simulate" if key == "engines" else key.replace("_", "-")
            raise ConfigError(f"--{option}: {why}") from None
        if made.tokens > made.max_tokens and not made.recorded_tokens:
            raise ConfigError(
                f"--tokens {made.tokens:g}: the mean length is above the longest one, "
                f"--max-tokens {made.max_tokens}"
            )
        if made.slots % made.slots_per_worker:
            raise ConfigError(
                f"--slots {made.slots}: no multiple of --slots-per-worker {made.slots_per_worker}"
            )
        return made

    def sizes(self) -> list[int]:
        """Numbers of engines of the larger fleets.

        Raises:
            ConfigError: they are no numbers above `--simulate`.
        """
        assert self.simulate is not None
        if self.sweep is None:
            return [self.simulate * factor for factor in _LARGER]
        try:
            sizes = sorted({int(size) for size in self.sweep.split(",") if size.strip()})
        except ValueError:
            raise ConfigError(f"--sweep {self.sweep}: expected numbers and commas") from None
        if sizes and sizes[0] <= self.simulate:
            raise ConfigError(f"--sweep {self.sweep}: every size must be above --simulate")
        return sizes

    def measurements(self) -> dict[int, float]:
        """What predictions are held against.

        Raises:
            ConfigError: the file is no record of `bench fleet`.
        """
        from deploy.bench.fleet.simulator.prediction import MEASURED, measurements

        if self.measured is None:
            return MEASURED
        try:
            return measurements(self.measured)
        except (OSError, ValueError) as error:
            raise ConfigError(f"--measured {self.measured}: {_first(error)}") from None


def _slots_per_worker(slots: int) -> int:
    """The most slots of a worker, at most `_MOST_SLOTS`, of which workers can have them all."""
    few = range(min(_MOST_SLOTS, slots), 1, -1)
    return next((each for each in few if slots % each == 0), 1)


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return ": ".join(first_fault(error))
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error}"
    return (isinstance(error, OSError) and error.strerror) or str(error)

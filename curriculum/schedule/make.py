"""Schedules: which problem is asked next, and how much of its solution is given.

| mode | what it does |
|---|---|
| `none` | whole tasks only (`staged`, without cuts) |
| `cccs` | the paper's stages, moved by a moving average of pass rates (`staged`) |
| `linear` | the given share falls in equal steps, whatever the policy can do (`linear`) |
| `adaptive` | the given share follows what the policy can do (`adaptive`) |
"""

from collections.abc import Sequence
from typing import Any, Protocol

from curriculum.config import CurriculumConfig
from curriculum.problem import Problem
from curriculum.schedule.adaptive import AdaptiveSchedule
from curriculum.schedule.cccs import Progress, StagedSchedule
from curriculum.schedule.linear import LinearSchedule
from curriculum.subtask import Subtask

__all__ = ["Progress", "Schedule", "StagedSchedule", "make_schedule"]

_MODES: dict[str, type[StagedSchedule]] = {
    "none": StagedSchedule,
    "cccs": StagedSchedule,
    "linear": LinearSchedule,
    "adaptive": AdaptiveSchedule,
}


class Schedule(Protocol):
    """What a training loop needs of a curriculum."""

    def sample(self, n: int) -> list[Subtask]:
        """The next `n` problems, each at its current stage."""
        ...

    def in_flight(self) -> list[Subtask]:
        """The tasks sampled and not reported on yet: a restored run asks them again."""
        ...

    def observe(self, task: Subtask, passed: int, attempts: int, weight_version: int) -> None:
        """Report one visit: `passed` of `attempts` programs for `task` passed all tests."""
        ...

    def metrics(self) -> dict[str, float]:
        """Where the curriculum stands."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state from which `load_state_dict` gives the same future."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        ...


def make_schedule(problems: Sequence[Problem], config: CurriculumConfig, seed: int) -> Schedule:
    """The schedule of a configuration over some problems.

    Raises `ValueError` for no problems, two with one id, or a canonical solution that does not
    parse (mode `none` never looks at it).
    """
    return _MODES[config.mode](problems, config, seed)

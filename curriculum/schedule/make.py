"""Every schedule by its mode.

| mode | what it does |
|---|---|
| `none` | whole tasks only (`cccs` without start points) |
| `cccs` | the paper's stages, moved by a moving average of pass rates |
| `linear` | the prefix shrinks in equal steps, whatever passes |
| `adaptive` | the prefix follows what the policy can do |
| `drawn` | the prefix is drawn from an interval that successes and failures narrow |
| `unguided` | whole tasks; a prefix, in a further visit, only where every program failed |
"""

from collections.abc import Mapping, Sequence

from curriculum.config import CurriculumConfig
from curriculum.problem import Problem
from curriculum.schedule.base import Schedule
from curriculum.schedule.modes.adaptive import AdaptiveSchedule
from curriculum.schedule.modes.cccs import CccsSchedule
from curriculum.schedule.modes.drawn import DrawnSchedule
from curriculum.schedule.modes.linear import LinearSchedule
from curriculum.schedule.modes.unguided import UnguidedSchedule

SCHEDULES: dict[str, type[Schedule]] = {
    "none": CccsSchedule,
    "cccs": CccsSchedule,
    "linear": LinearSchedule,
    "adaptive": AdaptiveSchedule,
    "drawn": DrawnSchedule,
    "unguided": UnguidedSchedule,
}
"""Schedules by `CurriculumConfig.mode`."""


def make_schedule(
    problems: Sequence[Problem],
    config: CurriculumConfig,
    seed: int,
    stage_limits: Mapping[str, int] | None = None,
) -> Schedule:
    """The schedule of a configuration over some problems; `stage_limits` as in `Schedule`.

    Raises:
        UnusableData: no problems, two with one id, or a canonical solution that does not parse
            (mode `none` does not parse any).
    """
    return SCHEDULES[config.mode](problems, config, seed, stage_limits)


def stage_offsets(problem: Problem, config: CurriculumConfig) -> tuple[int, ...]:
    """Where the prefix of each stage of a problem ends, before any limit.

    Raises:
        UnusableData: its solution does not parse.
    """
    return SCHEDULES[config.mode].offsets_or_raise(problem, config)

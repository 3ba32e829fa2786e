"""Stages that are single statements, shared by every schedule but the paper's.

Of a solution with n + 1 statements behind its starter code there are n stages: stage k gives k + 1
of them, so the first one is always given, and the last one never.
"""

from typing_extensions import override

from curriculum.config import CurriculumConfig
from curriculum.problem import Problem
from curriculum.schedule.base import Schedule
from curriculum.solution_end import solution_end
from curriculum.start_points import statement_points
from curriculum.subtask import starter_prefix


class StatementSchedule(Schedule):
    """Cuts before every statement: stage k has all that stands before statement k as prefix.

    Cutting before any statement, and not only before control flow, makes the steps even: the
    paper's first stage gives most of a solution at once, and the next stage is a large jump.
    """

    @override
    @staticmethod
    def stage_offsets(problem: Problem, config: CurriculumConfig) -> tuple[int, ...]:
        begin, end = len(starter_prefix(problem)), solution_end(problem)
        points = statement_points(problem.solution)
        return tuple(point for point in points if begin < point < end)


def half(stages: int) -> int:
    """The stage with half of the cuts in its prefix, rounded up; `FULL_TASK` without stages."""
    return (stages + 1) // 2 - 1


def shorter(stage: int) -> int:
    """The stage with half as many statements in its prefix, rounded down."""
    return (stage + 1) // 2 - 1


def longer(stage: int, stages: int) -> int:
    """The stage with half of the remaining statements added to its prefix, rounded up."""
    given = stage + 1
    return given + -(-(stages - given) // 2) - 1

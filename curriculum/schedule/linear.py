"""A baseline without judgement: the given share falls linearly with the visits of a problem.

Source: annealing the length of the given prefix over training, as in UFT (arXiv 2505.16984); here
per problem, so that problems that come rarely are not left behind. Cutting before any statement
(and not only before control flow) makes the steps even: the paper's first stage gives most of a
solution at once and the next is a large jump.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from curriculum.problem import Problem
from curriculum.schedule.cccs import Progress, StagedSchedule, Visit
from curriculum.start_points import statement_points
from curriculum.subtask import Subtask, cut_before, starter_prefix


class StatementSchedule(StagedSchedule):
    """Stages that are single statements: stage k gives all that stands before statement k."""

    def _cuts(self, problem: Problem) -> tuple[int, ...]:
        given = len(starter_prefix(problem))
        return tuple(p for p in statement_points(problem.canonical_solution) if p > given)

    def _first_stage(self, points: int) -> int:
        return points - 1

    def _cut(self, index: int, stage: int) -> Subtask:
        return cut_before(self._problems[index], stage, self._points[index])


@dataclass(slots=True)
class LinearProgress(Progress):
    """How far one problem has come."""

    visits: int = 0
    """Visits so far."""


class LinearSchedule(StatementSchedule):
    """After visit v of V (`linear_visits`) a problem with n cuts is at stage ceil(n (V-v)/V) - 1.

    Whether programs pass plays no part; `pass_rate` is kept for a person to see. Every visit that
    is reported on counts, however late: their number alone decides.
    """

    progress_type: ClassVar[type[Progress]] = LinearProgress

    def _counts(self, progress: Progress, asked: Visit, weight_version: int) -> bool:
        return True

    def _visit(self, problem_id: str, progress: Any, stage: int, pass_rate: float) -> None:
        progress.pass_rate = self._averaged(progress.pass_rate, pass_rate)
        progress.visits += 1
        visits, whole = progress.visits, self._config.linear_visits
        cuts = self._cuts_of[problem_id]
        self._move(progress, -(-cuts * max(whole - visits, 0) // whole) - 1)

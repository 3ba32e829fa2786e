"""A baseline that ignores results: the prefix shrinks linearly with the visits of a problem.

Source: annealing the length of the prefix over training, as in UFT (arXiv 2505.16984); here per
problem, so that problems that come rarely are not left behind.
"""

from typing_extensions import override

from curriculum.schedule.base import StageProgress
from curriculum.schedule.statements import StatementSchedule
from curriculum.schedule.visits import Visit
from curriculum.subtask import Subtask


class LinearSchedule(StatementSchedule):
    """After visit v of V (`linear_visits`) a problem with n stages is at stage ceil(n (V-v)/V) - 1.

    Pass rates are averaged for the state file only. Every visit that is reported on counts, however
    late: the number of visits alone decides.
    """

    @override
    def _counts(self, progress: StageProgress, visit: Visit, weight_version: int) -> bool:
        return True

    @override
    def _update(self, progress: StageProgress, task: Subtask, pass_rate: float) -> None:
        progress.pass_rate = self._average(progress.pass_rate, pass_rate)
        total = self._config.linear_visits
        visits_left = max(total - progress.visits, 0)
        self._move(progress, -(-task.stages * visits_left // total) - 1)

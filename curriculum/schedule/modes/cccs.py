"""The paper's schedule, Curriculum of Code Completion Subtasks (CCCS).

Source: StepCoder (arXiv 2402.01391), section 3.1 and Algorithm 1.
"""

from typing_extensions import override

from curriculum.config import CurriculumConfig
from curriculum.problem import Problem
from curriculum.schedule.base import Schedule, StageProgress
from curriculum.subtask import FULL_TASK, Subtask, solution_points, stage_offsets


class CccsSchedule(Schedule):
    """Every problem moves from its last start point to the whole task, one stage at a time.

    An observation at the present stage updates the moving average of pass rates,
    `average = alpha * passed / attempts + (1 - alpha) * average`, from 0. Above the threshold the
    problem moves one stage toward the beginning and the average restarts at 0. A problem without
    start points is asked whole from the start; in mode `none` that is every problem.
    """

    @override
    @staticmethod
    def stage_offsets(problem: Problem, config: CurriculumConfig) -> tuple[int, ...]:
        return stage_offsets(solution_points(problem, config.cut_kinds))

    @override
    def _update(self, progress: StageProgress, task: Subtask, pass_rate: float) -> None:
        progress.pass_rate = self._average(progress.pass_rate, pass_rate)
        if progress.pass_rate > self._config.threshold and progress.stage > FULL_TASK:
            self._move(progress, progress.stage - 1)
            progress.pass_rate = 0.0

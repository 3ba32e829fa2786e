"""A schedule that draws each prefix from an interval that successes and failures narrow.

Source: AdaBack (arXiv 2506.18110): a stochastic binary search over the revealed share of each
problem's solution. A draw at a place where the policy already succeeds, or still fails, is not
lost: it keeps the prefixes of a problem apart from one single length, which halving does not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from curriculum.config import CurriculumConfig
from curriculum.problem import Problem
from curriculum.schedule.base import StageProgress
from curriculum.schedule.draws import Draws
from curriculum.schedule.own_programs import rescaled
from curriculum.schedule.statements import StatementSchedule
from curriculum.subtask import FULL_TASK, Subtask


class DrawnSchedule(StatementSchedule):
    """Asks each problem at a stage drawn evenly from its interval, which begins with all stages.

    - Success (a pass rate above `threshold`): the stage becomes the upper end, and the lower end
      returns to the whole task.
    - Failure: the lower end becomes the next longer stage, or the upper end.

    The upper end, which is the problem's stage in the figures, never rises: what was done once is
    not given again. Each change of the interval makes earlier visits stale.

    AdaBack begins a problem that was never asked with the average interval of the others. Here it
    begins with all stages, so that a problem's progress depends on the reports about it alone.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        config: CurriculumConfig,
        seed: int,
        stage_limits: Mapping[str, int] | None = None,
    ):
        super().__init__(problems, config, seed, stage_limits)
        self._lowest = {problem.id: FULL_TASK for problem in self._problems}
        self._draws = Draws(seed, "stage")

    @override
    def state_dict(self) -> dict[str, Any]:
        """As for every schedule, with the lower ends of the intervals."""
        return super().state_dict() | {
            "lowest": dict(self._lowest),
            "draws": self._draws.state_dict(),
        }

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As for every schedule; the seed of the draws is the saved one."""
        super().load_state_dict(state)
        self._lowest = dict(state["lowest"])
        self._draws.load_state_dict(state["draws"])

    @override
    def _choose(self) -> tuple[int, int]:
        index, highest = super()._choose()
        lowest = self._lowest[self._problems[index].id]
        return index, self._draws.next().randint(lowest, highest)

    @override
    def _update(self, progress: StageProgress, task: Subtask, pass_rate: float) -> None:
        key, before = task.problem.id, (self._lowest[task.problem.id], progress.stage)
        progress.pass_rate = pass_rate
        if pass_rate > self._config.threshold:
            interval = FULL_TASK, task.stage
        else:
            interval = min(task.stage + 1, progress.stage), progress.stage
        self._lowest[key], progress.stage = interval
        progress.moves += interval != before

    @override
    def _place(self, key: str, stage: int) -> None:
        super()._place(key, stage)
        self._lowest[key] = min(self._lowest[key], stage)

    @override
    def _rescale(self, key: str, before: int, after: int) -> None:
        lowest = rescaled(self._lowest[key], before, after) if before else FULL_TASK
        super()._rescale(key, before, after)
        self._lowest[key] = min(lowest, self._progress[key].stage)

"""A schedule that asks whole tasks, and gives a prefix only where every program failed.

Sources: BREAD (arXiv 2506.17211) branches from the expert's solution only when the whole group of
rollouts failed, from a place found by a search; QuestA (arXiv 2507.13266) gives half of a solution
first, and to hard problems only. So training meets the distribution of the test, the whole task,
without a share of it to be set, and a prefix costs a visit only where a whole task taught nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from curriculum.config import CurriculumConfig
from curriculum.problem import Problem
from curriculum.schedule.base import StageProgress
from curriculum.schedule.own_programs import rescaled
from curriculum.schedule.statements import StatementSchedule, half, longer, shorter
from curriculum.schedule.visits import Visit
from curriculum.subtask import FULL_TASK, Subtask


class UnguidedSchedule(StatementSchedule):
    """Asks the whole task; where all programs fail, a further visit asks for the rest of a prefix.

    The further visit is the next task that is sampled, in the order of the visits that failed. It
    takes the place of another problem's, so that samples and steps are those of any other mode.

    - All programs of a guided visit fail: half of the remaining statements are added to the prefix,
      and a further visit is due, until all but the last statement are given.
    - Some pass: the problem is asked whole again. Above `threshold` its next prefix has half as
      many statements; otherwise it stays.

    A whole task says as much after the stage has moved as before, so its report is never stale for
    that reason.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        config: CurriculumConfig,
        seed: int,
        stage_limits: Mapping[str, int] | None = None,
    ):
        super().__init__(problems, config, seed, stage_limits)
        self._hints: dict[str, int] = {}
        """The stage at which each problem is asked when its whole task fails."""
        self._due: dict[str, int] = {}
        """The problems with a further visit due, and the number of the visit that failed."""
        self._guided = 0
        for problem, offsets in zip(self._problems, self._offsets, strict=True):
            self._progress[problem.id].stage = FULL_TASK
            self._hints[problem.id] = half(len(offsets))

    @override
    def metrics(self) -> dict[str, float]:
        """As for every schedule, with the visits that got a prefix since the beginning."""
        return super().metrics() | {"guided_visits": float(self._guided)}

    @override
    def state_dict(self) -> dict[str, Any]:
        """As for every schedule, with the hints and what is due."""
        return super().state_dict() | {
            "hints": dict(self._hints),
            "due": dict(self._due),
            "guided": self._guided,
        }

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As for every schedule, with the hints and what is due."""
        super().load_state_dict(state)
        self._hints, self._due = dict(state["hints"]), dict(state["due"])
        self._guided = state["guided"]

    @override
    def _choose(self) -> tuple[int, int]:
        while self._due:
            key = min(self._due, key=lambda key: self._due[key])
            del self._due[key]
            if self._longest_stage(self._index[key]) != FULL_TASK:
                self._guided += 1
                return self._index[key], self._hints[key]
            self._place(key, FULL_TASK)
        return self._next_problem(), FULL_TASK

    @override
    def _counts(self, progress: StageProgress, visit: Visit, weight_version: int) -> bool:
        current = visit.moves == progress.moves or visit.stage == FULL_TASK
        return current and weight_version >= progress.weight_version

    @override
    def _update(self, progress: StageProgress, task: Subtask, pass_rate: float) -> None:
        key = task.problem.id
        if task.stage == FULL_TASK:
            progress.pass_rate = self._average(progress.pass_rate, pass_rate)
        elif pass_rate == 0:
            self._hints[key] = longer(task.stage, task.stages)
        elif pass_rate > self._config.threshold:
            self._hints[key] = max(shorter(task.stage), 0)
        if pass_rate == 0 and self._hints[key] > task.stage:
            self._due[key] = task.visit
            self._move(progress, self._hints[key])
        else:
            self._due.pop(key, None)
            self._move(progress, FULL_TASK)

    @override
    def _place(self, key: str, stage: int) -> None:
        super()._place(key, stage)
        self._hints[key] = min(self._hints[key], max(stage, 0))

    @override
    def _rescale(self, key: str, before: int, after: int) -> None:
        hint = max(rescaled(self._hints[key], before, after), 0) if before else half(after)
        self._hints[key] = hint
        super()._place(key, hint if key in self._due else FULL_TASK)

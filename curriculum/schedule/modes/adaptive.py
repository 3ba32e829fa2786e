"""A schedule that gives each problem as long a prefix as it needs now.

Why it works as it does:

- *Search per problem, over statements.* A problem teaches where some of its rollouts pass and some
  fail; where all agree, advantages vanish. Strict stages find that place slowly and cannot go back;
  an adaptive share per problem beat them in AdaBack (arXiv 2506.18110). Halving the prefix on
  success, and adding half of the rest on failure, crosses a solution of n statements in log2(n)
  visits either way, and follows the policy when it changes.
- *Whole tasks always mixed in.* A policy that only ever continues code meets an empty prefix for
  the first time when it is evaluated. R3 (arXiv 2402.05808) found mixed start states better than
  staged ones, and gains of a pure curriculum are seen to erode once all problems have left it. A
  problem that is solved whole needs no prefix, so that success there ends its search at once.
- *Rests.* A problem that every rollout solves without a prefix, or none with all but its last
  statement in it, has no gradient to offer. It is left out for 1, 2, 4, ... visits and then asked
  again, since the policy changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from typing_extensions import override

from curriculum.config import CurriculumConfig
from curriculum.problem import Problem
from curriculum.schedule.base import StageProgress
from curriculum.schedule.draws import Draws
from curriculum.schedule.statements import StatementSchedule, longer, shorter
from curriculum.schedule.visits import Visit
from curriculum.subtask import FULL_TASK, Subtask


@dataclass(slots=True)
class SearchState:
    """What the search over one problem knows beside its stage."""

    visited: bool = False
    """Whether an observation counted at the present stage."""
    whole_rate: float = 0.0
    """Moving average of pass rates on the whole task, while the stage is another."""


class AdaptiveSchedule(StatementSchedule):
    """Holds each problem where its average pass rate lies between `floor` and `threshold`.

    An observation at the present stage updates the average of pass rates, from the first rate on.
    Above the threshold the prefix gets half as many statements; at or below the floor half of the
    remaining ones are added; then the average restarts. An observation of a whole task that was
    mixed in updates an average of its own, which above the threshold moves the problem to the whole
    task. It says as much after the stage has moved as before, so it is never stale for that reason.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        config: CurriculumConfig,
        seed: int,
        stage_limits: Mapping[str, int] | None = None,
    ):
        super().__init__(problems, config, seed, stage_limits)
        self._search = {problem.id: SearchState() for problem in self._problems}
        self._draws = Draws(seed, "whole")

    @override
    def state_dict(self) -> dict[str, Any]:
        """As for every schedule, with the state of the search."""
        return super().state_dict() | {
            "search": {key: asdict(search) for key, search in self._search.items()},
            "draws": self._draws.state_dict(),
        }

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As for every schedule; the seed of the whole-task draws is the saved one."""
        super().load_state_dict(state)
        self._search = {key: SearchState(**saved) for key, saved in state["search"].items()}
        self._draws.load_state_dict(state["draws"])

    @override
    def _choose(self) -> tuple[int, int]:
        """The next problem; a share of them whole."""
        index, stage = super()._choose()
        whole = self._draws.next().random() < self._config.full_task_share
        return index, FULL_TASK if whole else stage

    @override
    def _idle(self, task: Subtask, pass_rate: float) -> bool | None:
        if task.stage != self._progress[task.problem.id].stage:
            return None
        hopeless = task.stage == task.stages - 1 and pass_rate == 0
        return hopeless or super()._idle(task, pass_rate)

    @override
    def _counts(self, progress: StageProgress, visit: Visit, weight_version: int) -> bool:
        current = visit.moves == progress.moves or visit.stage == FULL_TASK
        return current and weight_version >= progress.weight_version

    @override
    def _update(self, progress: StageProgress, task: Subtask, pass_rate: float) -> None:
        search, config = self._search[task.problem.id], self._config
        if task.stage != progress.stage:
            search.whole_rate = self._average(search.whole_rate, pass_rate)
            if search.whole_rate > config.threshold:
                self._restart(progress, search, FULL_TASK)
            return
        progress.pass_rate = (
            self._average(progress.pass_rate, pass_rate) if search.visited else pass_rate
        )
        search.visited = True
        if progress.pass_rate > config.threshold:
            self._restart(progress, search, shorter(task.stage))
        elif progress.pass_rate <= config.floor:
            self._restart(progress, search, longer(task.stage, task.stages))

    @override
    def _place(self, key: str, stage: int) -> None:
        super()._place(key, stage)
        self._search[key] = SearchState()

    def _restart(self, progress: StageProgress, search: SearchState, stage: int) -> None:
        """Move to a stage, where it is another one, and begin its averages anew."""
        if stage != progress.stage:
            self._move(progress, stage)
            progress.pass_rate = search.whole_rate = 0.0
            search.visited = False

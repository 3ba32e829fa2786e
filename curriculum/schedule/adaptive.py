"""A schedule that gives each problem as much as it needs now.

Why each of its choices:

- *Search per problem, over statements.* A problem teaches where some of its rollouts pass and some
  fail; where all agree, advantages vanish. Strict stages find that place slowly and cannot go back;
  an adaptive share per problem beat them in AdaBack (arXiv 2506.18110). Halving what is given on
  success, and giving half of the rest on failure, crosses a solution of n statements in log2(n)
  visits either way, and follows the policy when it changes.
- *Whole tasks always mixed in.* A policy that only ever continues code meets an empty prefix for
  the first time when it is judged. R3 (arXiv 2402.05808) found mixed start states better than
  staged ones; and gains of a pure curriculum are seen to erode once all problems have left
  it. A problem solved whole needs no hint, so that success there ends its search at once.
- *Rests.* A problem solved by every rollout from nothing, or by none with all but its last
  statement given, has no gradient to offer; it is left out for 1, 2, 4, ... visits, and looked at
  again, since the policy moves.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from curriculum.config import CurriculumConfig
from curriculum.problem import Problem
from curriculum.schedule.cccs import Progress, Visit
from curriculum.schedule.linear import StatementSchedule
from curriculum.subtask import FULL_TASK, Subtask


@dataclass(slots=True)
class AdaptiveProgress(Progress):
    """Where the search over one problem stands."""

    visited: bool = False
    """Whether the current stage was visited."""
    whole_rate: float = 0.0
    """Moving average of pass rates on the whole task, while the stage is another."""
    streak: int = 0
    """Visits in a row that left nothing to learn."""
    rest: int = 0
    """Visits still to be left out."""


class AdaptiveSchedule(StatementSchedule):
    """Holds each problem where its average pass rate lies between `floor` and `threshold`.

    A visit at the current stage updates the average of pass rates, from the first visit's own
    rate. Above the threshold half as many statements are given, at or below the floor half of
    those left are added, and the average begins anew. A visit of the whole task that was mixed in
    counts for an average of its own, which above the threshold moves the problem to the whole
    task. A report of the whole task says as much after the stage has moved as before it.
    """

    progress_type: ClassVar[type[Progress]] = AdaptiveProgress

    def __init__(self, problems: Sequence[Problem], config: CurriculumConfig, seed: int):
        super().__init__(problems, config, seed)
        self._seed = seed
        self._draws = 0
        self._left_out = 0

    def sample(self, n: int) -> list[Subtask]:
        """The next `n` problems that do not rest; a share of them asked whole.

        Where all rest, the next one comes all the same.
        """
        return [self._next() for _ in range(n)]

    def metrics(self) -> dict[str, float]:
        """As for every schedule, with the share of problems at rest and the visits left out."""
        resting = sum(progress.rest > 0 for progress in self._each())
        return super().metrics() | {
            "resting_share": resting / len(self._problems),
            "visits_left_out": float(self._left_out),
        }

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state."""
        draws = {"seed": self._seed, "draws": self._draws, "left_out": self._left_out}
        return super().state_dict() | draws

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; raises `ValueError` for a state of other problems."""
        if "draws" not in state:
            raise ValueError("the saved curriculum is not of mode 'adaptive'")
        super().load_state_dict(state)
        self._seed, self._draws = state["seed"], state["draws"]
        self._left_out = state["left_out"]

    def _each(self) -> list[Any]:
        return list(self._progress.values())

    def _next(self) -> Subtask:
        for _ in range(len(self._problems)):
            [index] = self._sampler.take(1)
            progress: Any = self._progress[self._problems[index].id]
            if not progress.rest:
                break
            progress.rest -= 1
            self._left_out += 1
        self._draws += 1
        luck = random.Random(f"{self._seed}/whole/{self._draws}").random()
        whole = luck < self._config.full_task_share
        return self._ask(index, FULL_TASK if whole else progress.stage)

    def _counts(self, progress: Progress, asked: Visit, weight_version: int) -> bool:
        stays = asked.moves == progress.moves or asked.stage == FULL_TASK
        return stays and weight_version >= progress.weight_version

    def _visit(self, problem_id: str, progress: Any, stage: int, pass_rate: float) -> None:
        cuts, config = self._cuts_of[problem_id], self._config
        if stage != progress.stage:
            progress.whole_rate = self._averaged(progress.whole_rate, pass_rate)
            if progress.whole_rate > config.threshold:
                self._move(progress, FULL_TASK)
            return
        progress.pass_rate = (
            self._averaged(progress.pass_rate, pass_rate) if progress.visited else pass_rate
        )
        progress.visited = True
        self._rest(progress, cuts, pass_rate)
        given = stage + 1
        if progress.pass_rate > config.threshold:
            self._move(progress, given // 2 - 1)
        elif progress.pass_rate <= config.floor:
            self._move(progress, given + -(-(cuts - given) // 2) - 1)

    def _move(self, progress: Any, stage: int) -> None:
        if stage != progress.stage:
            progress.visited = False
            progress.pass_rate = progress.whole_rate = 0.0
        super()._move(progress, stage)

    def _rest(self, progress: Any, cuts: int, pass_rate: float) -> None:
        """Leave the problem out for a while where this visit showed nothing to learn."""
        solved = progress.stage == FULL_TASK and pass_rate == 1
        hopeless = progress.stage == cuts - 1 and pass_rate == 0
        progress.streak = progress.streak + 1 if solved or hopeless else 0
        if progress.streak:
            progress.rest = min(2 ** min(progress.streak - 1, 30), self._config.longest_rest)

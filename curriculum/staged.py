"""The paper's schedule: every problem moves through its own stages.

Source: StepCoder (arXiv 2402.01391), section 3.1 and Algorithm 1 (CCCS).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from curriculum.config import CurriculumConfig
from curriculum.problem import TIERS, Problem
from curriculum.sampler import EpochSampler
from curriculum.subtask import FULL_TASK, Subtask, cut_at, solution_points, stage_count


@dataclass(slots=True)
class Progress:
    """How far one problem has come."""

    stage: int
    """Current stage; `FULL_TASK` at the end."""
    pass_rate: float = 0.0
    """Moving average since the stage began."""
    weight_version: int = -1
    """Newest policy whose observation counted; -1 before the first."""


class StagedSchedule:
    """Every problem moves through its own stages, from its last start point to the whole task.

    A visit at the current stage updates the problem's moving average of pass rates,
    `average = alpha * passed / attempts + (1 - alpha) * average`, from 0. Above the threshold the
    problem moves one stage toward the beginning and the average restarts at 0. A problem without
    start points is asked whole from the start.

    Observations may come late and in any order: one made at a stage that the problem has left says
    nothing about the current stage, so it is counted (`stale_observations`) and otherwise ignored.
    Every other one is a visit.

    Other schedules that move problem by problem derive from it and say where solutions may be cut
    (`_cuts`), which stage is first (`_first_stage`) and what a visit changes (`_visit`).

    Example:
        >>> from curriculum.schedule import make_schedule
        >>> from curriculum.synthetic import synthetic_problems
        >>> schedule = make_schedule(synthetic_problems(seed=0, per_tier=1), CurriculumConfig(), 0)
        >>> task = schedule.sample(1)[0]
        >>> schedule.observe(task.problem.id, task.stage, passed=8, attempts=8, weight_version=0)
    """

    progress_type: ClassVar[type[Progress]] = Progress

    def __init__(self, problems: Sequence[Problem], config: CurriculumConfig, seed: int):
        self._problems = tuple(problems)
        self._config = config
        self._points = tuple(self._points_or_raise(problem) for problem in self._problems)
        self._progress = {
            problem.id: self.progress_type(self._first_stage(len(points)))
            for problem, points in zip(self._problems, self._points, strict=True)
        }
        self._cuts_of = {
            problem.id: len(points)
            for problem, points in zip(self._problems, self._points, strict=True)
        }
        if len(self._progress) != len(self._problems):
            raise ValueError("two problems of the curriculum share an id")
        weights = [config.tier_weights.get(problem.difficulty, 1.0) for problem in problems]
        self._sampler = EpochSampler(len(self._problems), seed, weights)
        self._observations = 0
        self._stale_observations = 0

    def sample(self, n: int) -> list[Subtask]:
        """The next `n` problems of seeded, shuffled epochs, each cut at its current stage.

        Where an epoch ends inside the `n`, or `n` is larger than the data set, a problem can come
        twice.
        """
        return [
            self._cut(index, self._progress[self._problems[index].id].stage)
            for index in self._sampler.take(n)
        ]

    def observe(
        self, problem_id: str, stage: int, passed: int, attempts: int, weight_version: int
    ) -> None:
        """Report one visit; see the class for the rule.

        Raises `ValueError` for a problem that is not of this curriculum and for counts that
        cannot be.
        """
        progress = self._progress.get(problem_id)
        if progress is None:
            raise ValueError(f"problem {problem_id!r} is not of this curriculum")
        if not 0 <= passed <= attempts or attempts == 0:
            raise ValueError(f"problem {problem_id!r}: {passed} of {attempts} attempts passed")
        if not self._counts(progress, stage):
            self._stale_observations += 1
            return
        self._observations += 1
        progress.weight_version = max(progress.weight_version, weight_version)
        self._visit(problem_id, progress, stage, passed / attempts)

    def _counts(self, progress: Progress, stage: int) -> bool:
        """Whether a report made at a stage says something about the problem now."""
        return stage == progress.stage

    def _visit(self, problem_id: str, progress: Progress, stage: int, pass_rate: float) -> None:
        """What a visit that counts changes."""
        progress.pass_rate = self._averaged(progress.pass_rate, pass_rate)
        if progress.pass_rate > self._config.threshold and progress.stage > FULL_TASK:
            progress.stage -= 1
            progress.pass_rate = 0.0

    def _averaged(self, average: float, newest: float) -> float:
        return self._config.alpha * newest + (1 - self._config.alpha) * average

    def _cuts(self, problem: Problem) -> tuple[int, ...]:
        """Where a solution may be cut."""
        return solution_points(problem, self._config.cut_kinds)

    def _first_stage(self, points: int) -> int:
        """The stage at which a problem with so many points begins."""
        return stage_count(points) - 1

    def _cut(self, index: int, stage: int) -> Subtask:
        """The problem of an index at a stage."""
        return cut_at(self._problems[index], stage, self._points[index])

    def _points_or_raise(self, problem: Problem) -> tuple[int, ...]:
        try:
            return self._cuts(problem)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ValueError(
                f"problem {problem.id!r}: its canonical solution does not parse: {error}"
            ) from error

    def metrics(self) -> dict[str, float]:
        """Where the curriculum stands, over all problems and per tier (`<name>/<tier>`).

        `mean_stages_left` is 0 when every problem is asked whole; `full_task_share` is the share
        of problems that are. `observations` and `stale_observations` count since the beginning.
        """
        stages_left = {tier: [] for tier in TIERS}
        for problem in self._problems:
            stages_left[problem.difficulty].append(self._progress[problem.id].stage - FULL_TASK)
        metrics = _standing([left for tier in TIERS for left in stages_left[tier]], "")
        for tier in TIERS:
            if stages_left[tier]:
                metrics |= _standing(stages_left[tier], f"/{tier}")
        metrics["epoch"] = float(self._sampler.epoch)
        metrics["observations"] = float(self._observations)
        metrics["stale_observations"] = float(self._stale_observations)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state: the sampler, every problem's progress, the counters."""
        return {
            "problems": self._fingerprint(),
            "sampler": self._sampler.state_dict(),
            "progress": {key: asdict(progress) for key, progress in self._progress.items()},
            "observations": self._observations,
            "stale_observations": self._stale_observations,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; the configuration stays this schedule's own.

        Raises `ValueError`, and changes nothing, when the state is of other problems or of other
        start points.
        """
        if state["problems"] != self._fingerprint():
            raise ValueError(
                "the saved curriculum is of other problems or start points than this one "
                f"({len(state['progress'])} problems saved, {len(self._problems)} here)"
            )
        progress = {key: self.progress_type(**value) for key, value in state["progress"].items()}
        observations, stale = state["observations"], state["stale_observations"]
        self._sampler.load_state_dict(state["sampler"])
        self._progress = progress
        self._observations, self._stale_observations = observations, stale

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for problem, points in zip(self._problems, self._points, strict=True):
            digest.update(repr((problem.id, problem.canonical_solution, points)).encode())
        return digest.hexdigest()


def _standing(stages_left: list[int], suffix: str) -> dict[str, float]:
    return {
        f"mean_stages_left{suffix}": sum(stages_left) / len(stages_left),
        f"full_task_share{suffix}": stages_left.count(0) / len(stages_left),
    }

"""The paper's schedule: every problem moves through its own stages.

Source: StepCoder (arXiv 2402.01391), section 3.1 and Algorithm 1 (CCCS).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, NamedTuple

from curriculum.config import CurriculumConfig
from curriculum.problem import TIERS, Problem
from curriculum.schedule.sampler import EpochSampler
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
    moves: int = 0
    """How often the stage has changed."""


class Visit(NamedTuple):
    """A task that was asked and not yet reported on."""

    problem_id: str
    stage: int
    moves: int
    """`Progress.moves` when it was asked: tells one stay at a stage from another."""


class StagedSchedule:
    """Every problem moves through its own stages, from its last start point to the whole task.

    A visit at the current stage updates the problem's moving average of pass rates,
    `average = alpha * passed / attempts + (1 - alpha) * average`, from 0. Above the threshold the
    problem moves one stage toward the beginning and the average restarts at 0. A problem without
    start points is asked whole from the start.

    Every task that is sampled is a visit with a number of its own, in flight until it is reported
    on; a problem may be in flight several times. Reports may come in any order:

    - the first report of a visit settles it; any other is a duplicate, counted
      (`duplicate_observations`) and otherwise ignored;
    - a report without attempts (none could be judged) settles the visit, and says nothing
      (`unjudged_observations`);
    - a report of a stage that the problem has left since, or by an older policy than one that
      counted already, says nothing about the problem now (`stale_observations`);
    - every other one counts, in the order in which they come.

    So a problem's state depends on its own reports alone, and each changes it at most once.

    Other schedules that move problem by problem derive from it and say where solutions may be cut
    (`_cuts`), which stage is first (`_first_stage`), which reports count (`_counts`) and what one
    that counts changes (`_visit`).

    Example:
        >>> from curriculum.schedule.make import make_schedule
        >>> from curriculum.synthetic.problems import synthetic_problems
        >>> schedule = make_schedule(synthetic_problems(seed=0, per_tier=1), CurriculumConfig(), 0)
        >>> task = schedule.sample(1)[0]
        >>> schedule.observe(task, passed=8, attempts=8, weight_version=0)
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
        self._index_of = {problem.id: index for index, problem in enumerate(self._problems)}
        if len(self._progress) != len(self._problems):
            raise ValueError("two problems of the curriculum share an id")
        weights = [config.tier_weights.get(problem.difficulty, 1.0) for problem in problems]
        self._sampler = EpochSampler(len(self._problems), seed, weights)
        self._in_flight: dict[int, Visit] = {}
        self._visits = 0
        self._observations = {"": 0, "stale_": 0, "duplicate_": 0, "unjudged_": 0}

    def sample(self, n: int) -> list[Subtask]:
        """The next `n` problems of seeded, shuffled epochs, each cut at its current stage.

        Where an epoch ends inside the `n`, or `n` is larger than the data set, a problem can come
        twice.
        """
        return [
            self._ask(index, self._progress[self._problems[index].id].stage)
            for index in self._sampler.take(n)
        ]

    def in_flight(self) -> list[Subtask]:
        """The visits not reported on yet, in the order in which they were asked.

        They are part of the state: a run that goes on from a checkpoint asks them again.
        """
        return [
            replace(self._cut(self._index_of[asked.problem_id], asked.stage), visit=visit)
            for visit, asked in self._in_flight.items()
        ]

    def observe(self, task: Subtask, passed: int, attempts: int, weight_version: int) -> None:
        """Report one visit: `passed` of `attempts` programs for `task` passed all tests.

        Args:
            task: as `sample` gave it.
            passed: programs that passed.
            attempts: programs that could be judged; 0 settles the visit without a result.
            weight_version: the oldest policy that wrote one of them.

        Raises:
            ValueError: a task that this schedule did not ask, or counts that cannot be.
        """
        problem_id = task.problem.id
        if not 0 <= passed <= attempts:
            raise ValueError(f"problem {problem_id!r}: {passed} of {attempts} attempts passed")
        asked = self._in_flight.get(task.visit)
        if asked is None and 0 <= task.visit < self._visits:
            self._observations["duplicate_"] += 1
            return
        if asked is None or asked[:2] != (problem_id, task.stage):
            raise ValueError(
                f"problem {problem_id!r} was not asked at stage {task.stage} as visit {task.visit} "
                "of this curriculum"
            )
        del self._in_flight[task.visit]
        progress = self._progress[problem_id]
        if not attempts:
            self._observations["unjudged_"] += 1
        elif not self._counts(progress, asked, weight_version):
            self._observations["stale_"] += 1
        else:
            self._observations[""] += 1
            progress.weight_version = max(progress.weight_version, weight_version)
            self._visit(problem_id, progress, task.stage, passed / attempts)

    def _ask(self, index: int, stage: int) -> Subtask:
        """A new visit of a problem at a stage."""
        problem_id, visit = self._problems[index].id, self._visits
        self._in_flight[visit] = Visit(problem_id, stage, self._progress[problem_id].moves)
        self._visits += 1
        return replace(self._cut(index, stage), visit=visit)

    def _counts(self, progress: Progress, asked: Visit, weight_version: int) -> bool:
        """Whether a report says something about the problem now."""
        return asked.moves == progress.moves and weight_version >= progress.weight_version

    def _visit(self, problem_id: str, progress: Progress, stage: int, pass_rate: float) -> None:
        """What a visit that counts changes."""
        progress.pass_rate = self._averaged(progress.pass_rate, pass_rate)
        if progress.pass_rate > self._config.threshold and progress.stage > FULL_TASK:
            self._move(progress, progress.stage - 1)
            progress.pass_rate = 0.0

    def _move(self, progress: Progress, stage: int) -> None:
        if stage != progress.stage:
            progress.stage = stage
            progress.moves += 1

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
        of problems that are. The counts of observations are since the beginning.
        """
        stages_left = {tier: [] for tier in TIERS}
        for problem in self._problems:
            stages_left[problem.difficulty].append(self._progress[problem.id].stage - FULL_TASK)
        metrics = _standing([left for tier in TIERS for left in stages_left[tier]], "")
        for tier in TIERS:
            if stages_left[tier]:
                metrics |= _standing(stages_left[tier], f"/{tier}")
        metrics["epoch"] = float(self._sampler.epoch)
        metrics["in_flight"] = float(len(self._in_flight))
        counts = self._observations.items()
        return metrics | {f"{kind}observations": float(count) for kind, count in counts}

    def state_dict(self) -> dict[str, Any]:
        """JSON-able state: the sampler, every problem's progress, the visits in flight."""
        return {
            "problems": self._fingerprint(),
            "sampler": self._sampler.state_dict(),
            "progress": {key: asdict(progress) for key, progress in self._progress.items()},
            "visits": self._visits,
            "in_flight": {str(visit): list(asked) for visit, asked in self._in_flight.items()},
            "observations": dict(self._observations),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; the configuration stays this schedule's own.

        Raises `ValueError`, and changes nothing, when the state is of other problems, of other
        start points or of another mode.
        """
        if state["problems"] != self._fingerprint():
            raise ValueError(
                "the saved curriculum is of other problems or start points than this one "
                f"({len(state['progress'])} problems saved, {len(self._problems)} here)"
            )
        try:
            saved = state["progress"].items()
            progress = {key: self.progress_type(**value) for key, value in saved}
        except TypeError as error:
            raise ValueError(
                f"the saved curriculum is of another mode than {type(self).__name__}: {error}"
            ) from error
        in_flight = {int(visit): Visit(*asked) for visit, asked in state["in_flight"].items()}
        visits, observations = state["visits"], dict(state["observations"])
        self._sampler.load_state_dict(state["sampler"])
        self._progress, self._in_flight = progress, in_flight
        self._visits, self._observations = visits, observations

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

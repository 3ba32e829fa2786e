"""The base of every schedule: what a training loop calls, and what a mode decides."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from curriculum.config import CurriculumConfig
from curriculum.errors import IncompatibleState, UnusableData
from curriculum.problem import TIERS, Problem
from curriculum.schedule.own_programs import OwnPrograms, rescaled, with_cuts
from curriculum.schedule.sampler import EpochSampler, Rests
from curriculum.schedule.visits import Visit, VisitLog
from curriculum.subtask import FULL_TASK, Subtask, cut_before
from curriculum.syntax import UNPARSABLE, syntax_fault


@dataclass(slots=True)
class StageProgress:
    """How far one problem has come."""

    stage: int
    """Current stage; `FULL_TASK` at the end of the curriculum."""
    pass_rate: float = 0.0
    """Moving average of pass rates since the stage began."""
    weight_version: int = -1
    """Newest policy whose observation counted; -1 before the first."""
    moves: int = 0
    """How often the stage has changed."""
    visits: int = 0
    """Observations that counted."""


class Schedule(ABC):
    """Moves every problem through stages, each of which gives a shorter prefix of its solution.

    A training loop calls `sample` for the next tasks and `observe` with the result of each; it
    saves `state_dict` in its checkpoints and logs `metrics`.

    A sampled task is a *visit* with a number of its own. It is in flight until it is reported on,
    and a problem may be in flight several times. Reports may come in any order:

    - the first report of a visit settles it; every other one is a duplicate, which is counted
      (`duplicate_observations`) and ignored;
    - a report without attempts (no program could be judged) settles the visit and changes nothing
      (`unjudged_observations`);
    - a report that says nothing about the problem's present stage changes nothing
      (`stale_observations`);
    - every other report counts, in the order in which the reports come.

    So a problem's progress depends on the reports about it alone, and each changes it at most once.

    A subclass implements `stage_offsets` and `_update`, and may override `_counts`, `_choose` and
    `_idle`.
    `_place` and `_rescale` move a problem for another reason than its results: one that keeps more
    than a stage overrides them.

    Args:
        problems: with distinct ids.
        config: mode, moving average and threshold, tier weights, and the mode's own settings.
        seed: decides the order of the problems.
        stage_limits: stages that a problem may be asked at, by id; all of them where it is not
            named. Further ones, with longer prefixes, are left out, because their prompts do not
            fit (`curriculum.prompts.fit`).

    Raises:
        UnusableData: no problems, two with one id, or a canonical solution that does not parse.

    Example:
        >>> from curriculum.schedule.make import make_schedule
        >>> from curriculum.synthetic.problems import synthetic_problems
        >>> schedule = make_schedule(synthetic_problems(seed=0, per_tier=1), CurriculumConfig(), 0)
        >>> task = schedule.sample(1)[0]
        >>> schedule.observe(task, passed=8, attempts=8, weight_version=0)
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        config: CurriculumConfig,
        seed: int,
        stage_limits: Mapping[str, int] | None = None,
    ):
        if not problems:
            raise UnusableData("there is nothing to sample: the curriculum has no problems")
        self._problems = tuple(problems)
        self._config = config
        limits = stage_limits or {}
        self._offsets = [
            self.offsets_or_raise(problem, config)[: limits.get(problem.id)]
            for problem in self._problems
        ]
        self._canonical = tuple(self._offsets)
        self._sources = list(self._problems)
        """The problems with the solution that prefixes are cut from, in the same order."""
        self._index = {problem.id: index for index, problem in enumerate(self._problems)}
        self._own = OwnPrograms()
        self._progress = {
            problem.id: StageProgress(stage=len(offsets) - 1)
            for problem, offsets in zip(self._problems, self._offsets, strict=True)
        }
        if len(self._progress) != len(self._problems):
            raise UnusableData("two problems of the curriculum share an id")
        weights = [config.tier_weights.get(problem.difficulty, 1.0) for problem in problems]
        self._sampler = EpochSampler(len(self._problems), seed, weights)
        self._rests = Rests(config.rest_limit)
        self._visits = VisitLog()
        self._shown = 1.0
        """Share of the stages that a task may be asked at, by the newest call of `sample`."""

    @staticmethod
    @abstractmethod
    def stage_offsets(problem: Problem, config: CurriculumConfig) -> tuple[int, ...]:
        """Offsets in the canonical solution at which the prefixes of stages 0, 1, ... end.

        The problem begins at the last stage. Without offsets it is asked whole from the start.
        Raises one of `UNPARSABLE` for a solution that does not parse.
        """

    @abstractmethod
    def _update(self, progress: StageProgress, task: Subtask, pass_rate: float) -> None:
        """Change a problem's progress after an observation that counts.

        Args:
            progress: the problem's, with this observation in `visits` and `weight_version`.
            task: what was asked; its stage may differ from the present one where `_counts` allows.
            pass_rate: passed programs over attempts, 0 to 1.
        """

    def _counts(self, progress: StageProgress, visit: Visit, weight_version: int) -> bool:
        """Whether a report says something about the problem's present stage.

        It does where the problem has not moved since the visit was sampled, and no newer policy's
        report counted already.
        """
        return visit.moves == progress.moves and weight_version >= progress.weight_version

    def _choose(self) -> tuple[int, int]:
        """The next task: index of the problem, and stage."""
        index = self._next_problem()
        return index, self._progress[self._problems[index].id].stage

    def _next_problem(self) -> int:
        """The index of the next problem that does not rest.

        Where all rest, the last one looked at comes all the same.
        """
        [index] = self._sampler.take(1)
        looked_at = 1
        while self._rests.skip(self._problems[index].id) and looked_at < len(self._problems):
            [index] = self._sampler.take(1)
            looked_at += 1
        return index

    def _idle(self, task: Subtask, pass_rate: float) -> bool | None:
        """Whether a visit says that the problem may rest; None where it says nothing about it."""
        return task.stage == FULL_TASK and pass_rate == 1

    def sample(self, n: int, run_share: float = 0.0) -> list[Subtask]:
        """The next `n` tasks; by default from seeded, shuffled epochs, each at its present stage.

        Where an epoch ends within the `n`, or `n` is larger than the data set, a problem can come
        twice.

        Args:
            n: number of tasks.
            run_share: share of the run's steps that lie before the one the tasks are for, 0 to 1.
                It decides how much of a solution is shown at most, where `fade_by` is set.
        """
        self._shown = shown_share(run_share, self._config.fade_by)
        return [self._open_visit(*self._faded(*self._choose())) for _ in range(n)]

    def observe(
        self,
        task: Subtask,
        passed: int,
        attempts: int,
        weight_version: int,
        programs: Sequence[str] = (),
    ) -> None:
        """Report one visit: `passed` of `attempts` programs for `task` passed all tests.

        Args:
            task: as `sample` returned it.
            passed: number of programs that passed.
            attempts: number of programs that could be judged; 0 settles the visit without a result.
            weight_version: the oldest policy that wrote one of them.
            programs: those that passed, without the problem's preamble, as far as prefixes may be
                cut from them (`prefixes_from`); also of a report that is stale.

        Raises:
            ValueError: a task that this schedule did not sample, or impossible counts.
        """
        if not 0 <= passed <= attempts:
            raise ValueError(f"problem {task.problem.id!r}: {passed} of {attempts} attempts passed")
        visit = self._visits.close(task)
        if visit is None:
            return
        progress = self._progress[visit.problem_id]
        if not attempts:
            self._visits.count("unjudged")
        elif not self._counts(progress, visit, weight_version):
            self._visits.count("stale")
        else:
            self._visits.count("counted")
            progress.visits += 1
            progress.weight_version = max(progress.weight_version, weight_version)
            idle = self._idle(task, passed / attempts)
            if idle is not None:
                self._rests.report(visit.problem_id, idle)
            self._update(progress, task, passed / attempts)
        if programs and self.adopts_programs:
            self._adopt(task, programs)

    @property
    def adopts_programs(self) -> bool:
        """Whether `observe` has a use for the programs that passed."""
        return self._config.prefixes_from == "policy"

    def stages(self) -> dict[str, int]:
        """The present stage of every problem, by id."""
        return {key: progress.stage for key, progress in self._progress.items()}

    def stage_counts(self) -> Iterator[tuple[Problem, int]]:
        """Every problem and its number of stages."""
        yield from zip(self._problems, map(len, self._offsets), strict=True)

    def metrics(self) -> dict[str, float]:
        """Progress over all problems and per tier (`<name>/<tier>`), and counts of observations.

        `mean_stages_left` is 0 when every problem is asked whole; `full_task_share` is the share of
        problems that are. The counts of observations are since the beginning.
        """
        stages_left: dict[str, list[int]] = {tier: [] for tier in TIERS}
        for problem in self._problems:
            stages_left[problem.difficulty].append(self._progress[problem.id].stage - FULL_TASK)
        metrics = _stage_metrics([left for tier in TIERS for left in stages_left[tier]], "")
        for tier in TIERS:
            if stages_left[tier]:
                metrics |= _stage_metrics(stages_left[tier], f"/{tier}")
        if self._config.prefixes_from == "policy":
            metrics["own_program_share"] = len(self._own) / len(self._problems)
        metrics |= self._rests.metrics(len(self._problems))
        return metrics | {"epoch": float(self._sampler.epoch)} | self._visits.metrics()

    def state_dict(self) -> dict[str, Any]:
        """State that JSON can hold: the sampler, every problem's progress, the visits.

        Visits in flight are part of it: reports about them count after a restore, too. A run saves
        its checkpoints while no visit is in flight (`actors.training.trainer`).
        """
        return {
            "mode": self._config.mode,
            "problems": self._fingerprint(),
            "sampler": self._sampler.state_dict(),
            "progress": {key: asdict(progress) for key, progress in self._progress.items()},
            "visits": self._visits.state_dict(),
            "rests": self._rests.state_dict(),
            "own_programs": self._own.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state; the configuration stays this schedule's own.

        Raises:
            IncompatibleState: the state is of another mode, other problems or other stages, or its
                prefixes are of the policy's programs and this schedule's are not; nothing is
                changed then.
        """
        if state["mode"] != self._config.mode:
            raise IncompatibleState(
                f"the saved curriculum is of mode {state['mode']!r}, not of mode "
                f"{self._config.mode!r}"
            )
        if state["problems"] != self._fingerprint():
            raise IncompatibleState(
                "the saved curriculum is of other problems or start points than this one "
                f"({len(state['progress'])} problems saved, {len(self._problems)} here)"
            )
        if state["own_programs"] and self._config.prefixes_from != "policy":
            raise IncompatibleState(
                "the saved curriculum cuts prefixes from the policy's programs: set "
                "curriculum.prefixes_from to policy"
            )
        own, sources, offsets = OwnPrograms(), list(self._problems), list(self._canonical)
        own.load_state_dict(state["own_programs"])
        for key, source in own.sources().items():
            index = self._index[key]
            found = with_cuts(self._problems[index], source, self._cuts)
            if found is None:
                raise IncompatibleState(f"problem {key!r}: this Python does not parse its program")
            sources[index], offsets[index] = found
        progress = {key: StageProgress(**saved) for key, saved in state["progress"].items()}
        visits = VisitLog()
        visits.load_state_dict(state["visits"])
        self._sampler.load_state_dict(state["sampler"])
        self._rests.load_state_dict(state["rests"])
        self._progress, self._visits = progress, visits
        self._own, self._sources, self._offsets = own, sources, offsets

    def _cuts(self, problem: Problem) -> tuple[int, ...]:
        return self.stage_offsets(problem, self._config)

    def _adopt(self, task: Subtask, programs: Sequence[str]) -> None:
        """Cut a problem's prefixes from one of the policy's programs, if it is to be kept."""
        key = task.problem.id
        index = self._index[key]
        found = self._own.offer(self._problems[index], task, programs, self._cuts)
        if found is not None:
            before = len(self._offsets[index])
            self._sources[index], self._offsets[index] = found
            self._progress[key].moves += 1  # what is in flight was cut from another program
            self._rescale(key, before, len(found[1]))

    def _rescale(self, key: str, before: int, after: int) -> None:
        """Move a problem to as long a stage of `after` as it is at of `before`.

        One that had none, and is solved whole, stays there.
        """
        progress = self._progress[key]
        solved = not before and progress.pass_rate > self._config.threshold
        self._place(key, FULL_TASK if solved else rescaled(progress.stage, before, after))

    def _average(self, average: float, newest: float) -> float:
        """The moving average of pass rates with one more."""
        return self._config.alpha * newest + (1 - self._config.alpha) * average

    def _longest_stage(self, index: int) -> int:
        """The longest stage of a problem that `fade_by` allows now."""
        return int(self._shown * len(self._offsets[index])) - 1

    def _faded(self, index: int, stage: int) -> tuple[int, int]:
        """A chosen task within what `fade_by` allows; the problem moves there."""
        limit, problem = self._longest_stage(index), self._problems[index]
        if self._progress[problem.id].stage > limit:
            self._place(problem.id, limit)
        return index, min(stage, limit)

    def _place(self, key: str, stage: int) -> None:
        """Move a problem for a reason other than its results; its average begins anew."""
        self._move(self._progress[key], stage)
        self._progress[key].pass_rate = 0.0

    def _move(self, progress: StageProgress, stage: int) -> None:
        """Set a problem's stage; staying where it is does not count as a move."""
        if stage != progress.stage:
            progress.stage = stage
            progress.moves += 1

    def _open_visit(self, index: int, stage: int) -> Subtask:
        problem = self._problems[index] if stage == FULL_TASK else self._sources[index]
        number = self._visits.open(Visit(problem.id, stage, self._progress[problem.id].moves))
        return replace(cut_before(problem, stage, self._offsets[index]), visit=number)

    @classmethod
    def offsets_or_raise(cls, problem: Problem, config: CurriculumConfig) -> tuple[int, ...]:
        """`stage_offsets`, with an error for a user where the solution does not parse.

        Raises:
            UnusableData: names the problem.
        """
        try:
            return cls.stage_offsets(problem, config)
        except UNPARSABLE as error:
            raise UnusableData(
                f"problem {problem.id!r}: its canonical solution is not Python 3: "
                f"{syntax_fault(error)}; `stepcoder data verify` leaves such problems out"
            ) from error

    def _fingerprint(self) -> str:
        """Of what is asked and how it is judged; of tests, which may be large, their number."""
        digest = hashlib.sha256()
        for problem, offsets in zip(self._problems, self._canonical, strict=True):
            asked = problem.model_dump(exclude={"tests", "source", "published"})
            digest.update(repr((asked, len(problem.tests), offsets)).encode())
        return digest.hexdigest()


def shown_share(run_share: float, fade_by: float | None) -> float:
    """The share of a solution's stages that may be shown at a point of the run.

    It falls from 1 to 0 along half a cosine, as the share of hints in UFT (arXiv 2505.16984).

    Args:
        run_share: share of the run that is done, 0 to 1.
        fade_by: share of the run after which nothing is shown; None shows all.
    """
    if fade_by is None:
        return 1.0
    return 0.0 if run_share >= fade_by else (1 + math.cos(math.pi * run_share / fade_by)) / 2


def _stage_metrics(stages_left: list[int], suffix: str) -> dict[str, float]:
    return {
        f"mean_stages_left{suffix}": sum(stages_left) / len(stages_left),
        f"full_task_share{suffix}": stages_left.count(0) / len(stages_left),
    }

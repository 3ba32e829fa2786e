"""Evaluations: asks every suite of a run, and records what came out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.collectors.group import CollectorGroup
from actors.config import LoopConfig
from actors.evaluation.statistics import Interval, difference_interval
from actors.runs.folder import RunFolder, read_jsonl
from actors.runs.metrics import MetricsLog
from actors.training.console import evaluation_line
from actors.training.evaluate import Evaluation, evaluate
from actors.training.state import TrainerState
from curriculum.problem import Problem

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluations:
    """The suites of a run, and where their figures go."""

    suites: Mapping[str, Sequence[Problem]]
    """Problems by the name of their suite, `heldout` first."""
    collectors: CollectorGroup
    loop: LoopConfig
    folder: RunFolder
    log: MetricsLog

    async def run(self, when: str, state: TrainerState) -> dict[str, Evaluation]:
        """Ask every suite, one after the other; what was recorded of this step is replaced.

        Args:
            when: for the log, such as `before RL`.
            state: its step names the evaluation; the time that it takes is added to it.

        Raises:
            RunFailed: the sandbox could judge none of a suite's completions.
            TimeoutError: a suite took longer than `loop.step_timeout_s`.
        """
        self.folder.forget_evaluation(state.step)
        made: dict[str, Evaluation] = {}
        for suite, problems in self.suites.items():
            made[suite] = evaluation = await evaluate(
                self.collectors,
                suite,
                problems,
                self.loop.eval_samples,
                self.loop.step_timeout_s,
                self.loop.eval_temperature,
                self.loop.eval_top_p,
            )
            state.add_seconds({"evaluate": evaluation.seconds})
            self.log.write_evaluation(
                state.step, suite, evaluation.metrics(), evaluation.problem_rows()
            )
            logger.info(evaluation_line(when, evaluation))
        return made

    def lacks(self, step: int) -> bool:
        """Whether the evaluation that follows a step was cut off, or never began."""
        missing = not self.suites.keys() <= self.folder.evaluated(step)
        return self.loop.evaluates_at(step) and missing


def gain_interval(folder: RunFolder, suite: str) -> Interval | None:
    """How far pass@1 of a suite changed from the first recorded evaluation to the last, paired by
    problem; over judged samples, and problems of which both times some could be judged.

    Returns:
        The mean change and its 95 % interval; None where there are no two evaluations of it.
    """
    rows = [row["problems"] for row in read_jsonl(folder.evaluations) if row["suite"] == suite]
    if len(rows) < 2:
        return None
    first, last = rows[0], rows[-1]
    pairs = [(_share(first[name]), _share(last[name])) for name in first if name in last]
    changes = [new - old for old, new in pairs if old is not None and new is not None]
    return difference_interval(changes) if changes else None


def _share(problem: Mapping[str, Any]) -> float | None:
    return problem["passed"] / problem["judged"] if problem["judged"] else None

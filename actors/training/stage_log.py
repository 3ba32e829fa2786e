"""StageLog: the curriculum's stage of every problem, step by step, in `curriculum.jsonl`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.rollout.round import JudgedGroup
from actors.runs.folder import RunFolder, append_jsonl
from curriculum.schedule.base import Schedule


class StageLog:
    """Writes what each step asked, and the problems whose stage it changed.

    The first line, of step 0, holds every problem with its tier, its number of stages and its
    stage; a later line holds the stages that differ from those after the line before, and under
    `counts` the numbers of stages that do (`curriculum.prefixes_from policy`). -1 is the full task.
    """

    def __init__(self, folder: RunFolder, schedule: Schedule) -> None:
        self._folder = folder
        self._schedule = schedule
        self._known: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def begin(self) -> None:
        """Note the schedule's present stages, at the start of a run and after each restore."""
        self._known, self._counts = self._schedule.stages(), self._stage_counts()
        if not self._folder.curriculum.exists():
            problems = {
                problem.id: [problem.difficulty, count, self._known[problem.id]]
                for problem, count in self._schedule.stage_counts()
            }
            append_jsonl(self._folder.curriculum, [{"step": 0, "problems": problems}])

    def write(self, step: int, groups: Sequence[JudgedGroup]) -> None:
        """Record a step, after its groups were reported to the schedule."""
        stages, counts = self._schedule.stages(), self._stage_counts()
        row: dict[str, Any] = {
            "step": step,
            "asked": [
                [g.subtask.problem.id, g.subtask.stage, g.passed, len(g.judged)] for g in groups
            ],
            "stages": {key: stage for key, stage in stages.items() if stage != self._known[key]},
        }
        if counts != self._counts:
            row["counts"] = {key: n for key, n in counts.items() if n != self._counts[key]}
        append_jsonl(self._folder.curriculum, [row])
        self._known, self._counts = stages, counts

    def _stage_counts(self) -> dict[str, int]:
        return {problem.id: count for problem, count in self._schedule.stage_counts()}

"""The policy's own passing programs, from which prefixes are cut instead of canonical solutions.

Source: PrefixRL (arXiv 2601.18795): prefixes of the policy's own correct programs are what it would
write itself, without the bias of another author, and there are some for problems that come without
a solution.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curriculum.problem import Problem
from curriculum.subtask import FULL_TASK, Subtask
from curriculum.syntax import UNPARSABLE

LONGEST = 20_000
"""Characters of the longest program that is kept."""


@dataclass(frozen=True)
class OwnProgram:
    """A program that the policy wrote, or completed, and that passed every test."""

    source: str
    """Without the problem's preamble."""
    foreign: int
    """Characters at its beginning that are of the canonical solution."""


class OwnPrograms:
    """One program for each problem of which one passed: the first with the least foreign code.

    A program is replaced only by one with less foreign code, so that cuts stay where they are once
    the policy solves the whole task.
    """

    def __init__(self) -> None:
        self._kept: dict[str, OwnProgram] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def offer(
        self,
        problem: Problem,
        task: Subtask,
        programs: Sequence[str],
        cuts: Callable[[Problem], tuple[int, ...]],
    ) -> tuple[Problem, tuple[int, ...]] | None:
        """Keep the first of some programs that can be cut, if it is better than the one kept.

        Args:
            problem: as the data set has it.
            task: what was asked.
            programs: that passed, without the problem's preamble.
            cuts: where the prefixes of a problem's solution end (`Schedule.stage_offsets`).

        Returns:
            The problem with the program as its solution, and the cuts; None where none is kept.
        """
        kept, foreign = self._kept.get(problem.id), self._foreign(task)
        if kept is not None and foreign >= kept.foreign:
            return None
        for source in programs:
            if len(source) > LONGEST:
                continue
            found = with_cuts(problem, source, cuts)
            if found is not None and found[1]:
                self._kept[problem.id] = OwnProgram(source, foreign)
                return found
        return None

    def _foreign(self, task: Subtask) -> int:
        """Canonical characters at the beginning of the programs that complete a task."""
        if task.stage == FULL_TASK:
            return 0
        kept, given = self._kept.get(task.problem.id), len(task.prefix)
        cut_from_kept = kept is not None and task.problem.solution == kept.source
        return min(given, kept.foreign) if kept is not None and cut_from_kept else given

    def sources(self) -> dict[str, str]:
        """The program of each problem that has one, by id."""
        return {key: kept.source for key, kept in self._kept.items()}

    def state_dict(self) -> dict[str, Any]:
        """State that JSON can hold."""
        return {key: asdict(kept) for key, kept in self._kept.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._kept = {key: OwnProgram(**saved) for key, saved in state.items()}


def with_cuts(
    problem: Problem, source: str, cuts: Callable[[Problem], tuple[int, ...]]
) -> tuple[Problem, tuple[int, ...]] | None:
    """A problem with another solution, and its cuts; None where this Python does not parse it."""
    changed = problem.model_copy(update={"solution": source})
    try:
        return changed, cuts(changed)
    except UNPARSABLE:
        return None


def rescaled(stage: int, before: int, after: int) -> int:
    """The stage with the same share of the prefixes, of `after` stages instead of `before`.

    A prefix stays one. Without stages before, the curriculum begins: at the last one.
    """
    if not before:
        return after - 1
    return max(round((stage + 1) * after / before), int(stage != FULL_TASK)) - 1

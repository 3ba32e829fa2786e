"""Subtasks: a problem posed with the beginning of its canonical solution as prefix.

Source: StepCoder (arXiv 2402.01391), section 3.1.
"""

import math
from dataclasses import dataclass

from curriculum.problem import Problem
from curriculum.solution_end import solution_end
from curriculum.start_points import start_points
from curriculum.syntax import parse

FULL_TASK = -1
"""The stage below stage 0: the policy writes the whole program."""


@dataclass(frozen=True)
class Subtask:
    """What the policy is asked at one stage of one problem's curriculum.

    `prefix + remainder` is the problem's solution byte for byte: the canonical one, or with
    `prefixes_from policy` a program of the policy.
    """

    problem: Problem
    stage: int
    """The paper's c: `stages - 1` is the easiest, 0 the hardest, `FULL_TASK` the whole program."""
    stages: int
    """Number of stages: in mode `cccs` ceil(sqrt(E)) for E start points; 0 without a curriculum."""
    prefix: str
    """Code that the prompt shows; for the full task the starter code, or nothing."""
    remainder: str
    """The canonical code behind the prefix. The policy never sees it."""
    visit: int = -1
    """Number, from 0, of the schedule's visit that this is; -1 for a task not from a schedule."""

    @property
    def expected_length(self) -> int:
        """Characters that an answer is expected to have, to compare subtasks by: the canonical code
        that is left to be written, or where there is none the question."""
        return len(self.remainder) or len(self.problem.question)


def stage_count(e: int) -> int:
    """Number of curriculum stages, ceil(sqrt(e)), of a problem with `e` start points."""
    if e < 0:
        raise ValueError(f"a problem cannot have {e} start points")
    return math.isqrt(e - 1) + 1 if e else 0


def start_index(e: int, stage: int) -> int:
    """Index, among `e` start points, of the one at which a stage's prefix ends.

    The stride is s = ceil(e / ceil(sqrt(e))) and stage c starts at s * c, which is below `e` for
    every c < ceil(sqrt(e)).

    Raises:
        ValueError: the problem has no such stage.
    """
    stages = stage_count(e)
    if not 0 <= stage < stages:
        raise ValueError(f"{e} start points give stages 0 to {stages - 1}, not {stage}")
    stride = -(-e // stages)
    return stride * stage


def stage_offsets(points: tuple[int, ...]) -> tuple[int, ...]:
    """Offsets in the solution at which the prefixes of stages 0, 1, ... end, by the paper's rule.

    Args:
        points: start points of the solution, ascending.
    """
    count = len(points)
    return tuple(points[start_index(count, stage)] for stage in range(stage_count(count)))


def solution_points(problem: Problem, kinds: frozenset[str]) -> tuple[int, ...]:
    """Start points of the canonical solution, without those inside its starter code, and without
    those behind all that its function needs: an empty completion would pass there.
    """
    tree = parse(problem.solution) if kinds else None
    points = start_points(problem.solution, kinds, tree)
    begin, end = len(starter_prefix(problem)), solution_end(problem, tree) if points else 0
    return tuple(point for point in points if begin <= point < end)


def cut(problem: Problem, stage: int, kinds: frozenset[str]) -> Subtask:
    """Cut a problem at a stage; for `FULL_TASK` without kinds the solution is not parsed.

    Raises:
        ValueError: the problem has no such stage.
        SyntaxError: the solution is not Python (more exactly, what `start_points` raises).
    """
    return cut_at(problem, stage, solution_points(problem, kinds))


def cut_at(problem: Problem, stage: int, points: tuple[int, ...]) -> Subtask:
    """Cut a problem at a stage, given its `solution_points`.

    Raises:
        ValueError: the problem has no such stage.
    """
    end = _full_task_end(problem)
    if stage != FULL_TASK:
        end = points[start_index(len(points), stage)]
    return _split(problem, stage, stage_count(len(points)), end)


def cut_before(problem: Problem, stage: int, offsets: tuple[int, ...]) -> Subtask:
    """Cut a problem at a stage, given the offset at which each stage's prefix ends.

    Raises:
        ValueError: `offsets` has no such stage.
    """
    if not FULL_TASK <= stage < len(offsets):
        raise ValueError(f"{len(offsets)} offsets give no stage {stage}")
    end = _full_task_end(problem) if stage == FULL_TASK else offsets[stage]
    return _split(problem, stage, len(offsets), end)


def starter_prefix(problem: Problem) -> str:
    """The starter code, where the canonical solution begins with it; otherwise nothing.

    White space at its end is left to the policy, like the newline at every other cut.
    """
    starter, solution = problem.starter_code.rstrip(), problem.solution
    next_character = solution[len(starter) : len(starter) + 1]
    complete = not next_character or next_character.isspace()
    return starter if solution.startswith(starter) and complete else ""


def _full_task_end(problem: Problem) -> int:
    return len(starter_prefix(problem))


def _split(problem: Problem, stage: int, stages: int, end: int) -> Subtask:
    solution = problem.solution
    return Subtask(problem, stage, stages, solution[:end], solution[end:])

"""Subtasks: a problem asked with the beginning of its canonical solution given."""

import math
from dataclasses import dataclass

from curriculum.problem import Problem
from curriculum.start_points import start_points

FULL_TASK = -1
"""The stage below stage 0: the whole program is asked."""


@dataclass(frozen=True)
class Subtask:
    """What the policy is asked in one stage of one problem's curriculum.

    `prefix + remainder` is the canonical solution byte for byte.
    """

    problem: Problem
    stage: int
    """The paper's c: `stages - 1` is the easiest, 0 the hardest, `FULL_TASK` the whole program."""
    stages: int
    """ceil(sqrt(E)) for E start points; 0 when the problem has no curriculum."""
    prefix: str
    """Given code; for the full task the starter code, or nothing."""
    remainder: str
    """The canonical code that was left out. Never shown to the policy."""
    visit: int = -1
    """Which of a schedule's visits this is, from 0 on; -1 for a task that no schedule asked."""


def stage_count(e: int) -> int:
    """Number of curriculum stages, ceil(sqrt(e)), of a problem with `e` start points."""
    if e < 0:
        raise ValueError(f"a problem cannot have {e} start points")
    return math.isqrt(e - 1) + 1 if e else 0


def start_index(e: int, stage: int) -> int:
    """Index, among `e` start points, of the one at which a stage's prefix ends.

    The stride is s = ceil(e / ceil(sqrt(e))) and stage c starts at s * c, which is below `e` for
    every c < ceil(sqrt(e)). Raises `ValueError` for a stage the problem does not have.
    """
    stages = stage_count(e)
    if not 0 <= stage < stages:
        raise ValueError(f"{e} start points give stages 0 to {stages - 1}, not {stage}")
    stride = -(-e // stages)
    return stride * stage


def solution_points(problem: Problem, kinds: frozenset[str]) -> tuple[int, ...]:
    """Start points of the canonical solution; those inside its starter code do not count."""
    given = len(starter_prefix(problem))
    return tuple(p for p in start_points(problem.canonical_solution, kinds) if p >= given)


def cut(problem: Problem, stage: int, kinds: frozenset[str]) -> Subtask:
    """Cut a problem at a stage; for `FULL_TASK` and no kinds the solution is not parsed.

    Raises what `start_points` raises, and `ValueError` for a stage the problem does not have.
    """
    return cut_at(problem, stage, solution_points(problem, kinds))


def cut_at(problem: Problem, stage: int, points: tuple[int, ...]) -> Subtask:
    """Cut a problem whose `solution_points` are known already."""
    if stage == FULL_TASK:
        end = len(starter_prefix(problem))
    else:
        end = points[start_index(len(points), stage)]
    solution = problem.canonical_solution
    return Subtask(problem, stage, stage_count(len(points)), solution[:end], solution[end:])


def cut_before(problem: Problem, index: int, points: tuple[int, ...]) -> Subtask:
    """Cut a problem at one of some offsets in its solution, each of which is a stage.

    For `FULL_TASK` as `cut_at`. Raises `ValueError` for an index that `points` does not have.
    """
    if not FULL_TASK <= index < len(points):
        raise ValueError(f"{len(points)} points have no index {index}")
    end = points[index] if index >= 0 else len(starter_prefix(problem))
    solution = problem.canonical_solution
    return Subtask(problem, index, len(points), solution[:end], solution[end:])


def starter_prefix(problem: Problem) -> str:
    """The starter code, where the canonical solution begins with it; otherwise nothing.

    White space at its end is left to the policy, like the newline at every other cut.
    """
    starter, solution = problem.starter_code.rstrip(), problem.canonical_solution
    follows = solution[len(starter) : len(starter) + 1]
    begins = solution.startswith(starter) and (not follows or follows.isspace())
    return starter if begins else ""

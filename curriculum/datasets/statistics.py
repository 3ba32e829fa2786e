"""Counts over a data set: tiers, lengths, start points and stages."""

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from curriculum.config import PromptConfig
from curriculum.problem import TIERS, Problem
from curriculum.prompts.render import PromptRenderer
from curriculum.subtask import cut_at, solution_points, stage_count
from curriculum.syntax import UNPARSABLE

ALL = "all"
"""The name of the row over all tiers."""


@dataclass
class Counts:
    """The counts of one tier, or of all."""

    problems: int = 0
    unparsable: int = 0
    """Problems whose canonical solution Python cannot parse; their start points are not counted."""
    call_based: int = 0
    """Problems tested by calls of a function; the others read stdin."""
    unnamed: list[str] = field(default_factory=list[str])
    """Ids of the problems whose prompt names no function."""
    without_solution: int = 0
    """Problems of which no solution is published."""
    code_tests: int = 0
    """Problems whose tests are code, which a program could forge."""
    tests: list[int] = field(default_factory=list[int])
    """Tests of each problem."""
    lines: list[int] = field(default_factory=list[int])
    """Lines of each canonical solution, without blank ones."""
    start_points: Counter[int] = field(default_factory=Counter[int])
    """Number of start points to number of problems."""
    stages: Counter[int] = field(default_factory=Counter[int])
    """Number of curriculum stages to number of problems."""
    revealed: list[float] = field(default_factory=list[float])
    """Share of the solution's characters in the first stage's prefix, where there is a stage."""

    def add(self, problem: Problem, kinds: frozenset[str], named: bool) -> None:
        """Count one problem, cut at statements of these kinds; `named`: its prompt names it."""
        self.problems += 1
        self.call_based += problem.fn_name is not None
        if not named:
            self.unnamed.append(problem.id)
        self.without_solution += not problem.solution
        self.code_tests += problem.assertions is not None
        code = problem.assertions.statements if problem.assertions else ()
        self.tests.append(len(problem.tests) + len(code))
        solution = problem.solution
        self.lines.append(sum(bool(line.strip()) for line in solution.splitlines()))
        try:
            points = solution_points(problem, kinds)
        except UNPARSABLE:
            self.unparsable += 1
            return
        stages = stage_count(len(points))
        self.start_points[len(points)] += 1
        self.stages[stages] += 1
        if stages:
            first = cut_at(problem, stages - 1, points)
            self.revealed.append(len(first.prefix) / len(solution))

    def summary(self) -> dict[str, Any]:
        """Figures that JSON can hold, the same for the same problems."""
        return {
            "problems": self.problems,
            "unparsable": self.unparsable,
            "call_based": self.call_based,
            "code_tests": self.code_tests,
            "tests_median": median(self.tests),
            "lines_median": median(self.lines),
            "start_points": _ascending(self.start_points),
            "stages": _ascending(self.stages),
            "revealed_median": round(median(self.revealed), 3),
        }


def count(problems: Iterable[Problem], kinds: frozenset[str]) -> dict[str, Counts]:
    """Counts of each tier that occurs, in the order of the tiers, and of all together (`ALL`).

    Raises:
        CurriculumError: a prompt cannot be rendered.
    """
    renderer = PromptRenderer(PromptConfig())
    counts = {tier: Counts() for tier in TIERS}
    total = Counts()
    for problem in problems:
        named = renderer.names_function(problem)
        counts[problem.difficulty].add(problem, kinds, named)
        total.add(problem, kinds, named)
    return {tier: tally for tier, tally in counts.items() if tally.problems} | {ALL: total}


def median(values: list[int] | list[float]) -> float:
    """The median; 0 for an empty list."""
    return statistics.median(values) if values else 0


def _ascending(counter: Counter[int]) -> dict[str, int]:
    return {str(key): counter[key] for key in sorted(counter)}

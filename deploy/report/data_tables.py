"""The tables of `stepcoder data stats`, `verify` and `show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curriculum.datasets.statistics import ALL, Counts, median
from curriculum.problem import Problem
from curriculum.prompts.fit import unnamed_message
from curriculum.subtask import FULL_TASK, cut_at, solution_points, stage_count, start_index
from curriculum.syntax import UNPARSABLE, syntax_fault

BAR_WIDTH = 40
LAST_BIN = 16
"""Counts of start points from this number on share one line of the histogram."""
SHOWN_TESTS = 3
SHOWN_CHARS = 100


def print_statistics(
    counts: dict[str, Counts], source: Path, console: Console | None = None
) -> None:
    """A table by tier, and a histogram of start points over all problems."""
    console = console or Console(width=100, highlight=False)
    table = Table(title=Text(str(source)))
    table.add_column("tier")
    for column in ("problems", "stdin", "tests", "lines", "start points", "stages", "first gives"):
        table.add_column(column, justify="right")
    for tier, of_tier in counts.items():
        if tier == ALL:
            table.add_section()
        table.add_row(
            tier,
            str(of_tier.problems),
            str(of_tier.problems - of_tier.call_based),
            f"{median(of_tier.tests):g}",
            f"{median(of_tier.lines):g}",
            f"{_mean(of_tier.start_points):.2f}",
            f"{_mean(of_tier.stages):.2f}",
            f"{median(of_tier.revealed):.0%}",
        )
    console.print(table)
    console.print(
        "tests and lines: median; start points and stages: mean; first gives: median share of the "
        "solution's characters given in the first stage",
        style="dim",
    )
    total = counts[ALL]
    if total.unparsable:
        console.print(f"{total.unparsable} solutions are not Python 3 and have no start points")
    if total.without_solution:
        console.print(f"{total.without_solution} problems have no solution and no start points")
    if total.code_tests:
        console.print(
            f"problems whose tests are code: {total.code_tests}; training leaves them out"
        )
    if total.unnamed:
        console.print(unnamed_message(total.unnamed), markup=False, soft_wrap=True)
    console.print()
    for line in histogram(total.start_points):
        console.print(line, markup=False)


def histogram(start_points: dict[int, int]) -> list[str]:
    """Lines of text: a number of start points, a bar, the number of problems that have it.

    Every number up to the largest has a line; one that occurs has a bar of at least one mark.
    """
    binned: dict[int, int] = {}
    for number, problems in start_points.items():
        binned[min(number, LAST_BIN)] = binned.get(min(number, LAST_BIN), 0) + problems
    most = max(binned.values(), default=0)
    lines = ["start points   problems"]
    for number in range(max(binned, default=-1) + 1):
        problems = binned.get(number, 0)
        bar = "#" * -(-problems * BAR_WIDTH // most)
        label = f"{number}+" if number == LAST_BIN else str(number)
        lines.append(f"{label:>12}   {bar:<{BAR_WIDTH}} {problems}")
    return lines


def print_report(report: dict[str, Any], output: Path, console: Console | None = None) -> None:
    """The report of `stepcoder data verify`: problems by cause, with an example of each."""
    console = console or Console(width=100, highlight=False)
    title = f"{report['kept']} of {report['problems']} problems kept in {output}"
    table = Table(title=Text(title))
    table.add_column("cause")
    table.add_column("problems", justify="right")
    table.add_column("such as")
    for cause, number in report["causes"].items():
        shown = report["examples"].get(cause)
        example = f"{shown[0]['id']}: {_short(shown[0]['detail'])}" if shown else ""
        table.add_row(cause, str(number), Text(example))
    for name, number in report["bad_records"]["fields"].items():
        example = _short(report["bad_records"]["examples"][name][0])
        table.add_row(Text(f"bad record: {name}"), str(number), Text(example))
    console.print(table)


def print_problem(problem: Problem, kinds: frozenset[str], console: Console | None = None) -> None:
    """A problem, its canonical solution marked at each cut point."""
    console = console or Console(width=100, highlight=False)
    calling = f"calls {problem.fn_name}" if problem.fn_name else "stdin to stdout"
    console.rule(Text(problem.id))
    source = f", from {problem.source}" if problem.source else ""
    console.print(f"{problem.difficulty}{source}, {calling}", markup=False)
    for title, text in (
        ("question", problem.question),
        ("starter code", problem.starter_code),
        ("preamble", problem.preamble),
        ("canonical solution", _cut_solution(problem, kinds)),
        *_judging(problem),
    ):
        if text:
            console.print(f"\n{title}", style="bold")
            console.print(text.rstrip("\n"), markup=False, soft_wrap=True)


def _cut_solution(problem: Problem, kinds: frozenset[str]) -> str:
    if not problem.solution:
        return "none is published: the problem is only asked whole"
    try:
        return "\n".join(solution_with_cuts(problem, kinds))
    except UNPARSABLE as error:
        return f"not Python 3, no cut points: {syntax_fault(error)}\n{problem.solution}"


def _judging(problem: Problem) -> list[tuple[str, str]]:
    """Sections about the tests: calls, runs or code, and how outputs are compared."""
    if problem.assertions is not None:
        code = problem.assertions
        return [
            ("set-up of the tests", code.setup),
            (f"tests that are code ({len(code.statements)})", "\n".join(code.statements)),
        ]
    place = problem.result_argument
    compared = "" if place is None else f", argument {place} after the call"
    checker = "" if problem.checker is None else problem.checker.source
    sections = [
        (f"tests ({len(problem.tests)})", "\n".join(_tests(problem))),
        ("checker", checker),
    ]
    if not checker:
        sections.append(("comparison", f"{problem.comparison}{compared}"))
    if problem.time_limit:
        sections.append(("time limit", f"{problem.time_limit:g} s a test"))
    return sections


def solution_with_cuts(problem: Problem, kinds: frozenset[str]) -> list[str]:
    """The lines of the canonical solution, with a line at each start point that names its stage.

    Raises:
        SyntaxError: the solution does not parse.
    """
    points = solution_points(problem, kinds)
    stages = stage_count(len(points))
    stage_at = {start_index(len(points), stage): stage for stage in range(stages)}
    marks: dict[int, list[str]] = {}
    full = len(cut_at(problem, FULL_TASK, points).prefix)
    marks.setdefault(full, []).append("full task")
    for index, point in enumerate(points):
        stage = f", stage {stage_at[index]} of {stages}" if index in stage_at else ""
        marks.setdefault(point, []).append(f"start point {index}{stage}")
    solution, start, lines = problem.solution, 0, []
    for point in sorted(marks):
        lines += _segment(solution[start:point]) if point > start else []
        lines.append(f"-----8<----- {'; '.join(marks[point])}")
        start = point
    return lines + _segment(solution[start:])


def _segment(text: str) -> list[str]:
    """The lines between two cuts, without what is left of the line that the first cut splits."""
    rest, newline, following = text.partition("\n")
    return (following if newline and not rest.strip() else text).rstrip("\n").split("\n")


def _tests(problem: Problem) -> list[str]:
    lines = []
    for test in problem.tests[:SHOWN_TESTS]:
        inputs = [repr(test.input), *(f"{key}={value!r}" for key, value in test.kwargs.items())]
        lines.append(f"{_short(', '.join(inputs))} -> {_short(repr(test.output))}")
    more = len(problem.tests) - SHOWN_TESTS
    return [*lines, f"... and {more} more"] if more > 0 else lines


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."


def _mean(counter: dict[int, int]) -> float:
    number = sum(counter.values())
    return sum(key * value for key, value in counter.items()) / number if number else 0.0

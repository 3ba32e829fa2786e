"""A verdict for a person (marked source, tests, times) and for a program (JSON)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curriculum.problem import Test
from sandbox import Outcome, TestOutcome, TestResult, Verdict
from sandbox.judging.comparison import shortened, shown
from sandbox.judging.coverage import line_marks

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
"""The lines that Python counts; `str.splitlines` breaks at more characters."""
_SHOWN = 400
"""Characters of an input or output that are printed."""
_MARK_STYLES = {"+": "green", "~": "yellow", "-": "red", " ": "dim"}
_STYLES = {
    TestOutcome.passed: "green",
    TestOutcome.not_run: "dim",
}


def as_record(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain data for JSON, statements as objects with their names."""
    record = dataclasses.asdict(verdict)
    record["statements"] = [statement._asdict() for statement in verdict.statements]
    return record


def print_verdict(
    verdict: Verdict,
    source: str,
    console: Console,
    cases: Sequence[Test] | Sequence[str] = (),
) -> None:
    """The source with a mark per line, a line per test, the outcome and the times.

    With the job's `cases` each test also shows its input, what is expected and what came.
    """
    if verdict.statements:
        console.print(_marked(verdict, source), soft_wrap=True)
        console.print("+ executed   - not executed   ~ in part", style="dim")
    table = Table(box=None, pad_edge=False, show_header=False)
    for index, test in enumerate(verdict.tests, 1):
        where = f" (line {test.line})" if test.line else ""
        outcome = Text(test.outcome.value, style=_STYLES.get(test.outcome, "red"))
        table.add_row(f"test {index}", outcome, Text(_printable(test.message) + where))
        for name, value in _compared(test, cases[index - 1]) if cases else ():
            table.add_row("", name, Text(_printable(value)))
    console.print(table)
    passed = sum(test.outcome is TestOutcome.passed for test in verdict.tests)
    good = verdict.outcome is Outcome.passed
    line = Text(verdict.outcome.value, style="bold green" if good else "bold red")
    line.append(f"  {passed} of {len(verdict.tests)} tests passed", style="default")
    console.print(line)
    if verdict.outcome in (Outcome.compile_error, Outcome.infra_error):
        where = f" (line {verdict.error_line})" if verdict.error_line else ""
        console.print(Text(_printable(verdict.error or "") + where))
    console.print(
        f"{verdict.wall_seconds * 1e3:.1f} ms wall, {verdict.cpu_seconds * 1e3:.1f} ms CPU, "
        f"isolation: {verdict.isolation}"
    )
    if verdict.missing_library:
        library = _printable(verdict.missing_library)
        console.print(f"the sandbox has no {library}; --packages NAME adds a package", markup=False)
    if not verdict.trusted_tests:
        console.print("the tests are code that ran beside the program: it could forge this verdict")
    if verdict.coverage_tampered:
        console.print(
            "the program tampered with the tracer: its marks may be wrong", style="yellow"
        )


def _compared(test: TestResult, case: Test | str) -> Iterator[tuple[str, str]]:
    """What was given, expected and got in one test; of an assertion its text."""
    if isinstance(case, str):
        yield "assertion", shown(case, _SHOWN)
        return
    yield "input", shown(case.input, _SHOWN)
    if case.kwargs:
        yield "kwargs", shown(case.kwargs, _SHOWN)
    yield "expected", shown(case.output, _SHOWN)
    if test.output is not None:
        printed = isinstance(case.input, str)
        yield "got", shown(test.output, _SHOWN) if printed else shortened(test.output, _SHOWN)


def _marked(verdict: Verdict, source: str) -> Text:
    text = Text()
    marks = line_marks(source, verdict.statements)
    lines = _LINE_BREAK.split(source.removesuffix("\n"))
    for number, (mark, line) in enumerate(zip(marks, lines, strict=True), 1):
        text.append(f"{number:4} {mark} ", style=_MARK_STYLES[mark])
        text.append(f"{_printable(line)}\n", style="dim" if mark == "-" else "")
    return text


def _printable(text: str) -> str:
    """The text without control sequences: an untrusted program must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in text)

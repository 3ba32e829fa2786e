"""The sandbox's output: one verdict per job."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple


class Outcome(StrEnum):
    """The outcome of a program: the worst of its tests', in the order timeout, out of memory,
    runtime error, failed.
    """

    passed = "passed"
    failed = "failed"
    """It ran, and some output was wrong."""
    runtime_error = "runtime_error"
    """It raised, died, or exceeded its output limit."""
    compile_error = "compile_error"
    timeout = "timeout"
    out_of_memory = "out_of_memory"
    infra_error = "infra_error"
    """The sandbox failed twice, or the problem's checker failed (`Verdict.checker_failed`); this
    says nothing about the program and is never a reward."""


class TestOutcome(StrEnum):
    """The outcome of one test."""

    __test__ = False

    passed = "passed"
    failed = "failed"
    runtime_error = "runtime_error"
    timeout = "timeout"
    out_of_memory = "out_of_memory"
    checker_failed = "checker_failed"
    """The problem's checker raised, died or said neither yes nor no, on the expected output too: no
    verdict on the output."""
    not_run = "not_run"


@dataclass(frozen=True, slots=True)
class TestResult:
    """The result of one test."""

    __test__ = False

    outcome: TestOutcome
    message: str = ""
    """For a failed test a short difference, for an error `Type: message`, otherwise empty."""
    line: int | None = None
    """For an error the line (1-based) of the program's innermost statement involved, if known."""
    output: str | None = None
    """For a failed test what the program returned (`repr`) or printed, shortened
    (`judging.comparison.OUTPUT_CHARS`); otherwise None."""


class Statement(NamedTuple):
    """The bytes `[start, end)` of the program (UTF-8) that one statement itself owns.

    A compound statement owns its header, from the first decorator or keyword to the colon; the
    statements of its suites own theirs. `else:`, `finally:`, `except ...:` and `case ...:` are
    entries of their own.
    """

    start: int
    end: int
    executed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one job."""

    job_id: str
    outcome: Outcome
    tests: tuple[TestResult, ...]
    """One per test of the job, in the job's order."""
    executed_lines: tuple[int, ...] = ()
    """Lines (1-based) of the program, as sent, on which an executed statement owns a byte."""
    statements: tuple[Statement, ...] = ()
    """Disjoint and in source order; empty if the program does not compile or without coverage."""
    error: str | None = None
    """The first error of the tests that decide the outcome: a difference, `Type: message`, or the
    sandbox's own failure."""
    error_line: int | None = None
    """The line (1-based) of the program where it occurred, if known."""
    wall_seconds: float = 0.0
    """From the start of the program's process to its end."""
    cpu_seconds: float = 0.0
    """Processor time of the program's process, compilation included."""
    coverage_tampered: bool = False
    """The program used something that coverage relies on: do not trust `statements`."""
    trusted_tests: bool = True
    """False if the tests were assertions, which the program could read and whose results it could
    forge (see `curriculum.problem.Assertions`)."""
    isolation: Literal["docker", "process"] = "process"
    """What separated the program from the machine."""
    stopped_early: bool = False
    """Tests were skipped because an earlier one did not pass (`stop_at_first_failure`)."""
    slot: int = 0
    """The sandbox slot that ran it."""

    @property
    def checker_failed(self) -> bool:
        """Whether there is no verdict because the problem's checker failed."""
        failed = any(test.outcome is TestOutcome.checker_failed for test in self.tests)
        return failed and self.outcome is Outcome.infra_error

    @property
    def missing_library(self) -> str | None:
        """The library that the program imports and the sandbox lacks, if that ended it."""
        return missing_library(self.outcome, self.error)


_MISSING = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '(\w{1,100})")


def missing_library(outcome: Outcome, error: str | None) -> str | None:
    """The library that a program with this outcome and error lacked, if that ended it."""
    match = _MISSING.match(error or "") if outcome is Outcome.runtime_error else None
    return match[1] if match else None

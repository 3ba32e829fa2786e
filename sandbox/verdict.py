"""What comes out of the sandbox."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple


class Outcome(StrEnum):
    """A program's fate: the worst of its tests', in the order timeout, memory, error, failed."""

    passed = "passed"
    failed = "failed"
    """It ran, and some output was wrong."""
    runtime_error = "runtime_error"
    """It raised, died, or broke a limit of output."""
    compile_error = "compile_error"
    timeout = "timeout"
    out_of_memory = "out_of_memory"
    infra_error = "infra_error"
    """The sandbox broke, twice; says nothing about the program and is never a reward."""


class TestOutcome(StrEnum):
    """One test's fate."""

    __test__ = False

    passed = "passed"
    failed = "failed"
    runtime_error = "runtime_error"
    timeout = "timeout"
    out_of_memory = "out_of_memory"
    not_run = "not_run"


@dataclass(frozen=True, slots=True)
class TestResult:
    """What one test showed."""

    __test__ = False

    outcome: TestOutcome
    message: str = ""
    """Failed: a short difference. Error: `Type: message`. Else empty."""
    line: int | None = None
    """Error: the line (1-based) of the program's innermost statement involved, if known."""


class Statement(NamedTuple):
    """The bytes `[start, end)` of the program (UTF-8) that one statement itself owns.

    A compound statement owns its header (decorators to colon); its suites' statements own theirs;
    `else:`, `finally:`, `except ...:` and `case ...:` are entries of their own.
    """

    start: int
    end: int
    executed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happened to one job."""

    job_id: str
    outcome: Outcome
    tests: tuple[TestResult, ...]
    """One per test of the job, in its order."""
    executed_lines: tuple[int, ...] = ()
    """Lines (1-based) of the program as sent that an executed statement owns a part of."""
    statements: tuple[Statement, ...] = ()
    """Disjoint and in source order; empty if the program does not compile or without coverage."""
    error: str | None = None
    """What went wrong first: a difference, `Type: message`, or the sandbox's own failure."""
    error_line: int | None = None
    """Where, in the program (1-based), if known."""
    wall_seconds: float = 0.0
    """From the start of the program's process to its end."""
    cpu_seconds: float = 0.0
    """Processor time of the program's process, compilation included."""
    coverage_tampered: bool = False
    """The program reached for what coverage rests on; don't trust `statements`."""
    trusted_tests: bool = True
    """False: the tests were assertions, which the program could read and whose results it could
    state itself (see `sandbox.job.Assertions`)."""
    isolation: Literal["docker", "process"] = "process"
    """What stood between the program and the machine."""
    stopped_early: bool = False
    """Tests were skipped because an earlier one did not pass (`stop_at_first_failure`)."""
    slot: int = 0
    """The sandbox slot that ran it."""

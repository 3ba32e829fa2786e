"""What an evaluation records of each sample: the program, and the verdict on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from sandbox import Outcome, TestOutcome, Verdict
from sandbox.verdict import missing_library

_ERROR_TYPE = re.compile(r"[A-Za-z_][\w.]*(?=:|$)")


class SampleKey(NamedTuple):
    """Names one sample of an evaluation."""

    suite: str
    problem: str
    """The problem's id."""
    number: int
    """The sample's number among those of its problem, from 0."""


@dataclass(frozen=True)
class GeneratedSample:
    """One program to judge, and how it came about."""

    key: SampleKey
    task_id: str
    """The problem's id as EvalPlus writes it."""
    solution: str
    """The whole program."""
    completion: str | None = None
    """What the model wrote; None for a program that no model of this evaluation wrote."""
    program_bytes: tuple[int, int] | None = None
    """The range of the completion, in UTF-8, that is in the program."""
    finish_reason: str | None = None
    """`stop`, `length` or `refused`, as in `Completion`."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cuts: tuple[tuple[int, int, str], ...] = ()
    """Begin and end, in bytes of the completion, of each part that is not in the program, and the
    rule that leaves it out (`curriculum.program.Rule`)."""
    generation_seconds: float | None = None
    """As `Completion.seconds`; None where no model of this evaluation wrote it."""


@dataclass(frozen=True)
class SampleVerdict:
    """The sandbox's verdict on one sample, as far as an evaluation keeps it."""

    key: SampleKey
    outcome: Outcome
    error: str | None = None
    error_line: int | None = None
    tests: int = 0
    tests_passed: int = 0
    executed_lines: tuple[int, ...] = ()
    """Lines of the program, from 1."""
    wall_seconds: float = 0.0
    coverage_tampered: bool = False
    trusted_tests: bool = True
    isolation: str = "process"
    cpu_seconds: float = 0.0
    results: tuple[tuple[str, str, int | None, str | None], ...] = ()
    """Outcome, message, line and output of each test (`sandbox.TestResult`)."""
    statements: tuple[tuple[int, int, int], ...] = ()
    """Bytes `[start, end)` of the program that each statement owns, and 1 if it was executed."""

    @classmethod
    def of(cls, key: SampleKey, verdict: Verdict) -> SampleVerdict:
        """What is kept of `verdict`."""
        return cls(
            key=key,
            outcome=verdict.outcome,
            error=verdict.error,
            error_line=verdict.error_line,
            tests=len(verdict.tests),
            tests_passed=sum(test.outcome is TestOutcome.passed for test in verdict.tests),
            executed_lines=tuple(verdict.executed_lines),
            wall_seconds=round(verdict.wall_seconds, 6),
            cpu_seconds=round(verdict.cpu_seconds, 6),
            results=tuple(
                (test.outcome.value, test.message, test.line, test.output) for test in verdict.tests
            ),
            statements=tuple((start, end, int(ran)) for start, end, ran in verdict.statements),
            coverage_tampered=verdict.coverage_tampered,
            trusted_tests=verdict.trusted_tests,
            isolation=verdict.isolation,
        )

    @property
    def judged(self) -> bool:
        """Whether the sandbox could judge it."""
        return self.outcome is not Outcome.infra_error

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return self.outcome is Outcome.passed

    @property
    def missing_library(self) -> str | None:
        """The library that the program imports and the sandbox lacks, if it failed for that."""
        return missing_library(self.outcome, self.error)

    @property
    def error_type(self) -> str | None:
        """The type of the exception that a program with a runtime error raised, if it is known."""
        return error_type(self.error) if self.outcome is Outcome.runtime_error else None


def error_type(error: str | None) -> str | None:
    """The type that the message of a runtime error begins with, if it does."""
    match = _ERROR_TYPE.match(error or "")
    return match[0] if match else None

"""Finding: whether a problem's canonical solution passes its tests, and if not, why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from curriculum.datasets.formats.apps import PREAMBLE
from curriculum.problem import Problem, behind_preamble
from sandbox import Job, Outcome, Verdict


class Cause(StrEnum):
    """Why a problem is kept or left out, in the words of outcomes; the first two are kept."""

    passed = "passed"
    repaired = "repaired"
    """It passes with the standard imports that its solution relies on."""
    compile_error = "compile_error"
    missing_library = "missing_library"
    failed = "failed"
    """Some output is wrong."""
    runtime_error = "runtime_error"
    timeout = "timeout"
    out_of_memory = "out_of_memory"
    flaky = "flaky"
    """Some runs pass and some do not."""
    no_solution = "no_solution"
    """The data set publishes none, so there is nothing to run."""
    checker_failed = "checker_failed"
    """The problem's own checker raised, hangs or says neither yes nor no."""
    infra_error = "infra_error"
    """The sandbox failed, which says nothing about the problem; it is examined again next time."""


KEPT = frozenset({Cause.passed, Cause.repaired})
_CAUSES = {
    Outcome.passed: Cause.passed,
    Outcome.failed: Cause.failed,
    Outcome.runtime_error: Cause.runtime_error,
    Outcome.compile_error: Cause.compile_error,
    Outcome.timeout: Cause.timeout,
    Outcome.out_of_memory: Cause.out_of_memory,
    Outcome.infra_error: Cause.infra_error,
}
_IMPORT_ERROR = re.compile(r"(ModuleNotFoundError|ImportError)\b")
_NAME_ERROR = re.compile(r"NameError\b")


@dataclass(frozen=True)
class Finding:
    """The result of examining one problem."""

    problem: Problem
    """As it is to be kept: with a preamble of imports where the cause is `repaired`."""
    cause: Cause
    detail: str = ""
    """The sandbox's error message; for a repaired problem, that of the solution as it came."""
    runs: int = 0
    """How often the solution was run."""


class Slot(Protocol):
    """The part of a sandbox that verification uses."""

    def run(self, job: Job) -> Verdict:
        """Run one program."""
        ...


def examine(problem: Problem, slot: Slot, runs: int) -> Finding:
    """Run a problem's solution up to `runs` times on its tests; stop at the second failure.

    A solution that fails on an undefined name is run again with the standard imports
    (`curriculum.datasets.formats.apps.PREAMBLE`); if every run then passes, it is `repaired`.
    """
    if not problem.solution:
        return Finding(problem, Cause.no_solution)
    first = _run_repeatedly(problem, slot, runs)
    if first.cause is Cause.runtime_error and _NAME_ERROR.match(first.detail):
        repaired = problem.model_copy(
            update={"preamble": behind_preamble(PREAMBLE, problem.preamble)}
        )
        second = _run_repeatedly(repaired, slot, runs)
        if second.cause is Cause.passed:
            return Finding(repaired, Cause.repaired, first.detail, first.runs + second.runs)
    return first


def _run_repeatedly(problem: Problem, slot: Slot, runs: int) -> Finding:
    job = Job.for_program(problem, problem.program)
    failure: Verdict | None = None
    passes = failures = 0
    while passes + failures < runs and failures < 2:
        verdict = slot.run(job)
        if verdict.outcome is Outcome.infra_error:
            cause = Cause.checker_failed if verdict.checker_failed else Cause.infra_error
            return Finding(problem, cause, verdict.error or "", passes + failures + 1)
        if verdict.outcome is Outcome.passed:
            passes += 1
        else:
            failure, failures = failure or verdict, failures + 1
    if failure is None:
        return Finding(problem, Cause.passed, runs=passes)
    detail = failure.error or failure.outcome.value
    cause = Cause.flaky if passes else _cause(failure.outcome, detail)
    return Finding(problem, cause, detail, passes + failures)


def _cause(outcome: Outcome, detail: str) -> Cause:
    if outcome is Outcome.runtime_error and _IMPORT_ERROR.match(detail):
        return Cause.missing_library
    return _CAUSES[outcome]

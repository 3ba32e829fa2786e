"""What the folders of runs and evaluations keep of problems and verdicts, as plain data."""

from __future__ import annotations

from typing import Any

from curriculum.problem import Problem, Test
from sandbox import Verdict
from sandbox.judging.comparison import shortened, shown

TEST_CHARS = 2000
"""Longest input or expected output of a test that is kept."""


def problem_record(problem: Problem) -> dict[str, Any]:
    """What a reader of rollouts needs of a problem: question, tests, canonical solution."""
    assertions = problem.assertions
    return {
        "problem": problem.id,
        "tier": problem.difficulty,
        "published": problem.published.isoformat() if problem.published else None,
        "question": problem.question,
        "solution": problem.solution,
        "setup": shortened(assertions.setup, TEST_CHARS) if assertions else "",
        "tests": [_of_test(problem, test) for test in problem.tests]
        or [
            {"input": shortened(statement, TEST_CHARS), "expected": None}
            for statement in (assertions.statements if assertions else ())
        ],
    }


def _of_test(problem: Problem, test: Test) -> dict[str, str]:
    if problem.fn_name is None:
        expected = shortened(test.output, TEST_CHARS)
        return {"input": shortened(test.input, TEST_CHARS), "expected": expected}
    arguments = [shown(value, TEST_CHARS) for value in test.input]
    arguments += [f"{name}={shown(value, TEST_CHARS)}" for name, value in test.kwargs.items()]
    call = f"{problem.fn_name}({', '.join(arguments)})"
    return {"input": shortened(call, TEST_CHARS), "expected": shown(test.output, TEST_CHARS)}


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """A verdict without what names its job."""
    return {
        "outcome": verdict.outcome.value,
        "error": verdict.error,
        "error_line": verdict.error_line,
        "results": [
            [test.outcome.value, test.message, test.line, test.output] for test in verdict.tests
        ],
        "statements": [[start, end, int(ran)] for start, end, ran in verdict.statements],
        "wall_seconds": round(verdict.wall_seconds, 6),
        "cpu_seconds": round(verdict.cpu_seconds, 6),
        "coverage_tampered": verdict.coverage_tampered,
        "trusted_tests": verdict.trusted_tests,
        "isolation": verdict.isolation,
    }

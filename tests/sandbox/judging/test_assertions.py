"""Tests that are code: `check(candidate)` and bare asserts, whose verdicts are marked untrusted."""

import pytest

from curriculum.problem import Assertions
from sandbox import Job, Limits, Outcome, TestOutcome

SQUARE = "def f(x):\n    if x == 3:\n        return 9\n    return x * x + (x == 4)\n"


@pytest.fixture
def check(sandbox):
    def run(source, *statements, setup="", **fields):
        assertions = Assertions(setup=setup, statements=statements)
        job = Job(id="a", source=source, fn_name=None, assertions=assertions, **fields)
        return sandbox.run(job)

    return run


def test_each_assertion_is_a_test(check):
    verdict = check(SQUARE, "assert f(3) == 9", "assert f(4) == 16", "assert f(5) == 25")
    assert verdict.outcome is Outcome.failed
    assert [test.outcome.value for test in verdict.tests] == ["passed", "failed", "passed"]
    assert verdict.error == "does not hold: assert f(4) == 16"
    assert verdict.executed_lines == (1, 2, 3, 4)
    assert not verdict.trusted_tests


def test_verdicts_on_inputs_and_outputs_are_trusted(call):
    assert call(SQUARE, ([3], 9)).trusted_tests


def test_humanevals_check_is_one_test(sandbox):
    test = "def check(candidate):\n    assert candidate(3) == 9\n    assert candidate(2) == 4\n"
    assertions = Assertions.of_check(test, "f")
    job = Job(id="a", source=SQUARE, fn_name=None, assertions=assertions)
    verdict = sandbox.run(job)
    assert verdict.outcome is Outcome.passed, verdict.error
    assert len(verdict.tests) == 1


def test_an_error_in_the_program_is_not_a_failed_test(check):
    source = "def f(x):\n    assert x\n    return 1 // (x - 1)\n"
    verdict = check(source, "assert f(2) == 1", "assert f(0) == 1", "assert f(1) == 1", "g(1)")
    assert [test.outcome.value for test in verdict.tests] == ["passed", *["runtime_error"] * 3]
    assert [test.line for test in verdict.tests] == [None, 2, 3, None]
    assert verdict.tests[3].message == "NameError: name 'g' is not defined"


def test_the_setup_runs_in_the_programs_namespace(check):
    source = "class Node:\n    def __init__(self, x): self.x = x\ndef f(n): return n.x\n"
    assert check(source, "assert f(root) == 7", setup="root = Node(7)").outcome is Outcome.passed
    failed = check("x = 1\n", "assert True", setup="root = Node(7)")
    assert failed.outcome is Outcome.runtime_error
    assert failed.error == "NameError: name 'Node' is not defined"
    assert failed.tests[0].outcome is TestOutcome.runtime_error


def test_stopping_at_the_first_failure(check):
    statements = ("assert f(3) == 9", "assert f(4) == 16", "assert f(5) == 25")
    verdict = check(SQUARE, *statements, stop_at_first_failure=True)
    assert [test.outcome.value for test in verdict.tests] == ["passed", "failed", "not_run"]
    assert verdict.stopped_early


@pytest.mark.parametrize(
    "source",
    ["import os\nos._exit(0)\n", "import sys\nsys.exit(0)\n", "def f(x): import os; os._exit(0)\n"],
)
def test_an_early_exit_does_not_pass(check, source):
    assert check(source, "assert f(3) == 9").outcome is Outcome.runtime_error


def test_compile_errors_and_timeouts_are_outcomes_as_for_other_tests(check):
    assert check("def f(:", "assert f(1)").outcome is Outcome.compile_error
    endless = "def f(x):\n    while x: pass\n    return 1\n"
    limits = Limits(wall_seconds=2)
    verdict = check(endless, "assert f(0)", "assert f(1)", "assert f(0)", limits=limits)
    assert [test.outcome.value for test in verdict.tests] == ["passed", "timeout", "not_run"]


def test_a_forged_record_of_another_kind_of_test_is_refused(check):
    source = (
        "import sys\ndef f():\n    frame = sys._getframe()\n"
        "    while 'self' not in frame.f_locals: frame = frame.f_back\n"
        "    frame.f_locals['self'].emit('r', 0, '1')\n"
    )
    verdict = check(source, "assert f() == 1")
    assert verdict.error == "the program wrote false records"

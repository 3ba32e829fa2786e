"""Tests that are code: `check(candidate)` and bare asserts, with verdicts marked as untrusted."""

import pytest
from pydantic import ValidationError

from curriculum.problem import Test
from sandbox import Assertions, Job, Outcome, TestOutcome

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


def test_the_field_is_true_for_all_other_tests(call):
    assert call(SQUARE, ([3], 9)).trusted_tests


def test_humanevals_check_is_one_test(sandbox):
    test = "def check(candidate):\n    assert candidate(3) == 9\n    assert candidate(2) == 4\n"
    assertions = Assertions.of_check(test, "f")
    job = Job(id="a", source=SQUARE, fn_name=None, assertions=assertions)
    verdict = sandbox.run(job)
    assert verdict.outcome is Outcome.passed, verdict.error
    assert len(verdict.tests) == 1


def test_what_the_program_raises_is_its_error_and_not_a_failed_test(check):
    source = "def f(x):\n    assert x\n    return 1 // (x - 1)\n"
    verdict = check(source, "assert f(2) == 1", "assert f(0) == 1", "assert f(1) == 1", "g(1)")
    assert [test.outcome.value for test in verdict.tests] == ["passed", *["runtime_error"] * 3]
    assert [test.line for test in verdict.tests] == [None, 2, 3, None]
    assert verdict.tests[3].message == "NameError: name 'g' is not defined"


def test_the_setup_runs_among_the_programs_names(check):
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
def test_an_early_exit_is_no_pass(check, source):
    assert check(source, "assert f(3) == 9").outcome is Outcome.runtime_error


def test_a_compile_error_and_a_timeout_are_told_as_ever(check):
    from sandbox import Limits

    assert check("def f(:", "assert f(1)").outcome is Outcome.compile_error
    endless = "def f(x):\n    while x: pass\n    return 1\n"
    limits = Limits(wall_seconds=0.5)
    verdict = check(endless, "assert f(0)", "assert f(1)", "assert f(0)", limits=limits)
    assert [test.outcome.value for test in verdict.tests] == ["passed", "timeout", "not_run"]


def test_a_programs_record_for_another_mode_is_refused(check):
    source = (
        "import sys\ndef f():\n    frame = sys._getframe()\n"
        "    while 'self' not in frame.f_locals: frame = frame.f_back\n"
        "    frame.f_locals['self'].emit('r', 0, '1')\n"
    )
    verdict = check(source, "assert f() == 1")
    assert verdict.error == "the program wrote false records"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"statements": ()}, "at least 1 item"),
        ({"statements": ("assert f(1) == 1", "assert (")}, "statement 1 is not Python"),
        ({"statements": ("x",), "setup": "def"}, "setup is not Python"),
        ({"statements": ("\0",)}, "statement 0 is not Python"),
    ],
)
def test_assertions_that_are_none_are_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        Assertions(**fields)


def test_a_job_has_tests_or_assertions():
    assertions = Assertions(statements=("assert f(1) == 1",))
    tests = (Test(input=[1], output=1),)
    for fields in ({"tests": tests, "fn_name": None}, {"fn_name": "f"}):
        with pytest.raises(ValidationError, match="leave out tests and fn_name"):
            Job(id="a", source="", assertions=assertions, **fields)
    with pytest.raises(ValidationError, match="at least one test"):
        Job(id="a", source="", fn_name=None)

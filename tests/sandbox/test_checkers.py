"""Checkers: programs that judge an output, run apart from the program, and believed only if they
say something."""

import pytest
from pydantic import ValidationError

from curriculum.problem import Checker, Test
from sandbox import Job, Limits, Outcome, TestOutcome
from tests.sandbox.conftest import LIMITS, open_sandbox

SUM_OF_TWO = """\
import sys

def main():
    with open(sys.argv[1]) as file: total = int(file.read())
    with open(sys.argv[2]) as file: assert file.read().split()
    with open(sys.argv[3]) as file: text = file.read()
    try:
        a, b = map(int, text.split())
    except ValueError:
        print(0)
        return
    print(1 if a + b == total and a > 0 and b > 0 else 0)

if __name__ == "__main__":
    main()
"""
"""As open-r1/codeforces has them: any two positive numbers with the sum that the input names."""
TESTS = (Test(input="5\n", output="1 4\n"), Test(input="7", output="3 4"))


@pytest.fixture
def check(sandbox):
    def run(source, checker=SUM_OF_TWO, tests=TESTS, **fields):
        checker = Checker(source=checker)
        job = Job(id="c", source=source, fn_name=None, tests=tests, checker=checker, **fields)
        return sandbox.run(job)

    return run


def outcomes(verdict):
    return [test.outcome.value for test in verdict.tests]


def test_a_checker_accepts_every_right_output(check):
    verdict = check("n = int(input())\nprint(n - 1, 1)\n")
    assert verdict.outcome is Outcome.passed, verdict.error
    assert verdict.trusted_tests
    assert verdict.executed_lines == (1, 2)
    verdict = check("n = int(input())\nprint(n - 1 if n < 6 else 9, 1)\n")
    assert outcomes(verdict) == ["passed", "failed"]
    assert verdict.error == "the checker refuses the output: 0"
    assert check("print('x')").outcome is Outcome.failed


def test_the_programs_own_failures_come_first(check):
    verdict = check("n = int(input())\nif n > 5: boom\nprint(n - 1, 1)\n")
    assert outcomes(verdict) == ["passed", "runtime_error"]
    assert check("def f(:").outcome is Outcome.compile_error
    assert check("while True: pass", limits=Limits(wall_seconds=0.3)).outcome is Outcome.timeout
    for fields in ({"stop_at_first_failure": True}, {"isolate_tests": True}):
        verdict = check("n = int(input())\nprint(n - 1 if n > 6 else 9, 1)\n", **fields)
        assert outcomes(verdict) == ["failed", "not_run" if verdict.stopped_early else "passed"]


SAYINGS = [
    ("print('yes')", "passed"),
    ("print('OK.')", "passed"),
    ("print(1.0)", "passed"),
    ("print('100')", "passed"),
    ("print('looking'); print(True)", "passed"),
    ("pass", "passed"),
    ("import sys; sys.exit(0)", "passed"),
    ("print('wrong answer: expected 1, found 2, so no')", "failed"),
    ("print(0.5)", "failed"),
    ("print(False)", "failed"),
    ("import sys; sys.exit(1)", "failed"),
    ("import sys; sys.exit('differs in line 1')", "failed"),
    ("import os; os._exit(2)", "failed"),
]


@pytest.mark.parametrize(("source", "outcome"), SAYINGS)
def test_a_checker_says_yes_or_no_in_one_of_several_ways(check, source, outcome):
    assert outcomes(check("print('x')", source)) == [outcome, outcome]


FAILURES = {
    "raising": "1 / 0",
    "raising behind a yes": "print(1, flush=True)\nraise ValueError",
    "asserting": "assert False",
    "not compiling": "def f(:",
    "saying neither": "print('maybe')",
    "saying nan": "print('nan')",
    "a yes with status 1": "import sys\nprint('yes')\nsys.exit(1)",
    "the status of testlib's own failure": "import sys\nsys.exit(3)",
    "dying": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
    "out of memory": "x = 'a' * 10**11",
    "a missing library": "import no_such_library",
    "writing its verdict to a file": "open('verdict.txt', 'w').write('1')",
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_checker_that_fails_gives_no_verdict(check, name):
    verdict = check("print('x')", FAILURES[name])
    assert verdict.outcome is Outcome.infra_error
    assert outcomes(verdict) == ["checker_failed", "checker_failed"]
    assert verdict.checker_failed
    assert verdict.error.startswith("the checker failed: ")
    assert verdict.missing_library is None


WORDS = "import os, sys\nwords = open(sys.argv[3]).read().split()\n"
FAILS_ON_GARBAGE = {
    "raising": ("a, b = map(int, words)", "ValueError"),
    "asserting": ("assert len(words) == 2", "AssertionError"),
    "running out of memory": ("x = [0] * 10 ** (3 * len(words))", "MemoryError"),
    "dying": ("if len(words) > 2: os.kill(os.getpid(), 11)", "killed"),
    "saying neither": ("print('?' if 'x' in words else 'yes')", "last word ?"),
    "failing as testlib's do": ("sys.exit(3 if 'x' in words else 0)", "status 3"),
    "giving points": ("int(words[0])\nprint('points', 1)", "ValueError"),
}
"""Checkers that work on the expected outputs, and what comes of three words."""


@pytest.mark.parametrize("name", FAILS_ON_GARBAGE)
def test_output_on_which_a_working_checker_fails_is_wrong(check, name):
    """Otherwise a policy could print what nobody can read, and escape its punishment."""
    checker, reason = FAILS_ON_GARBAGE[name]
    verdict = check("print('x y z')", WORDS + checker)
    assert verdict.outcome is Outcome.failed, verdict.error
    assert outcomes(verdict) == ["failed", "failed"]
    assert not verdict.checker_failed
    assert verdict.error.startswith("the checker fails on this output, not on the expected one: ")
    assert reason in verdict.error
    assert check("print('2 3')", WORDS + checker).outcome is Outcome.passed


def test_a_checker_that_refuses_the_expected_output_too_gives_no_verdict(check):
    checker = "import sys\nprint(0) if ' ' in open(sys.argv[3]).read() else boom\n"
    verdict = check("print('x')", checker)
    assert outcomes(verdict) == ["checker_failed", "checker_failed"]
    assert verdict.error.startswith("the checker failed: NameError")


def test_output_on_which_a_checker_hangs_is_wrong_and_costs_one_time_limit():
    with open_sandbox("process", limits=Limits(wall_seconds=1)) as sandbox:
        source = "import sys\nwhile 'x' in open(sys.argv[3]).read(): pass\n"
        job = Job(
            id="c",
            source="print('x' if input() == '7' else 1)",
            fn_name=None,
            tests=TESTS + TESTS,
            checker=Checker(source=source),
            limits=LIMITS,
        )
        verdict = sandbox.run(job)
    assert outcomes(verdict) == ["passed", "failed", "not_run", "not_run"]
    assert verdict.outcome is Outcome.failed
    assert verdict.error == "the checker fails on this output, not on the expected one: time limit"
    assert verdict.tests[2].message == "the checker hangs on an earlier test"


def test_a_checker_that_hangs_gives_no_verdict():
    limits = Limits(wall_seconds=0.5)
    with open_sandbox("process", limits=limits) as sandbox:
        checker = Checker(source="while True: pass")
        fields = {"tests": TESTS * 9, "checker": checker, "limits": LIMITS}
        job = Job(id="c", source="print(1)", fn_name=None, **fields)
        verdict = sandbox.run(job)
        assert verdict.outcome is Outcome.infra_error
        assert set(outcomes(verdict)) == {"checker_failed"}
        assert verdict.tests[1].message == "the checker hangs on an earlier test"
        assert verdict.error == "the checker failed: time limit"
        verdict = sandbox.run(job.model_copy(update={"checker": Checker(source=SUM_OF_TWO)}))
        assert verdict.outcome is Outcome.failed


def test_one_failed_checker_does_not_hide_a_wrong_answer(check):
    checker = "import sys\nprint(0) if '5' in open(sys.argv[1]).read() else boom\n"
    verdict = check("print('x')", checker)
    assert outcomes(verdict) == ["failed", "checker_failed"]
    assert verdict.outcome is Outcome.failed
    assert verdict.error == "the checker refuses the output: 0"
    assert not verdict.checker_failed
    verdict = check("print('x')", checker.replace("print(0)", "print(1)"))
    assert verdict.outcome is Outcome.infra_error


def test_the_checker_gets_texts_unchanged(check):
    checker = (
        "import os, sys\nfrom pathlib import Path\n"
        "texts = [Path(p).read_bytes().decode() for p in sys.argv[1:]]\n"
        "again = [open(p, newline='').read() for p in sys.argv[1:]]\n"
        "want = ['ä\\r\\n' + 'x' * 200000, 'é\\n\\n', 'ü \\r\\n']\n"
        "print(int(texts == again == want and all(map(os.path.exists, sys.argv[1:]))))\n"
    )
    test = Test(input="ä\r\n" + "x" * 200000, output="\ufeffé\n\n")
    verdict = check("print('ü ', end='\\r\\n')", checker, (test,))
    assert verdict.outcome is Outcome.passed, verdict.error


ECHOES = ["ok", "x\n1", "no\nyes", "1"]


@pytest.mark.parametrize("output", ECHOES)
def test_a_yes_that_the_output_may_have_brought_does_not_count(check, output):
    """Checkers print what they read: the program must not speak with their voice."""
    echo = "import sys\nprint(0)\nprint('found', open(sys.argv[3]).read())\n"
    verdict = check(f"print({output!r})", echo)
    assert verdict.outcome is Outcome.infra_error
    assert TestOutcome.passed not in {test.outcome for test in verdict.tests}


def test_the_program_never_shares_a_runner_with_the_checker(check, sandbox):
    check("n = int(input())\nprint(n - 1, 1)\n")
    checkers = sandbox._warm.for_checkers()
    assert checkers.runner is not None
    assert checkers.runner is not sandbox._runner
    spoils = (
        "import sys, builtins, os\nbuiltins.print = lambda *a: None\n"
        "builtins.int = lambda *a: 5\nos.environ['X'] = '1'\nsys.stdout.write('2 2')\n"
    )
    assert check(spoils).outcome is Outcome.failed


def test_a_checker_is_for_programs_on_stdin():
    with pytest.raises(ValidationError, match="checker"):
        Job(id="c", source="", fn_name="f", tests=TESTS, checker=Checker(source="1"))

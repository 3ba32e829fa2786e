"""Verdicts on jobs, on both backends."""

import pytest

from curriculum.problem import Test
from sandbox import Job, Limits, Outcome
from tests.sandbox.conftest import DOUBLE, open_sandbox


def outcomes(verdict):
    return [test.outcome.value for test in verdict.tests]


def test_a_function_passes_its_tests(call):
    verdict = call(DOUBLE, ([5], 10), ([1], -1))
    assert verdict.outcome is Outcome.passed
    assert outcomes(verdict) == ["passed", "passed"]
    assert verdict.executed_lines == (1, 2, 3, 4)
    assert verdict.error is None
    assert verdict.wall_seconds > 0
    assert verdict.cpu_seconds > 0


def test_a_wrong_output_fails_its_test_and_the_others_still_run(call):
    verdict = call(DOUBLE, ([5], 11), ([1], -1))
    assert verdict.outcome is Outcome.failed
    assert outcomes(verdict) == ["failed", "passed"]
    assert verdict.error == "expected 11, got 10"


def test_methods_keywords_and_tuples_reach_the_program(sandbox):
    source = (
        "class Solution:\n    def f(self, pair, *, n):\n"
        "        return type(pair).__name__, n, {1, 2}, {3: pair}\n"
    )
    test = Test(input=[(1, 2)], kwargs={"n": 7}, output=["tuple", 7, {1, 2}, {"3": [1, 2]}])
    verdict = sandbox.run(Job(id="m", source=source, fn_name="f", tests=(test,)))
    assert verdict.outcome is Outcome.passed, verdict.error


def test_a_script_reads_stdin_and_prints(program):
    source = "import sys\nn = int(input())\nprint(sum(map(int, sys.stdin.read().split())) + n)\n"
    verdict = program(source, ("1\n2 3\n", "6"), ("4\n", "4\n"), ("5\n5", "11"))
    assert outcomes(verdict) == ["passed", "passed", "failed"]
    assert verdict.error == "line 1: expected '11', got '10'"


@pytest.mark.parametrize("reader", ["open(0)", "sys.stdin", "os.fdopen(0)", "sys.stdin.buffer"])
def test_every_way_to_read_stdin_works_in_every_test(program, reader):
    source = f"import os, sys\nprint(len(list({reader})))\n"
    assert program(source, ("a\nb\n", "2"), ("a\n", "1"), ("", "0")).outcome is Outcome.passed


@pytest.mark.parametrize(
    "source",
    [
        "read = open(0).readline\nprint(int(read()) * 2)\n",
        "import sys\nsys.stdin = open(0)\nprint(int(input()) * 2)\n",
        "import sys\nsys.stdout = open(1, 'w')\nprint(int(input()) * 2)\n",
        "import os\nout = os.fdopen(1, 'w')\nout.write(str(int(input()) * 2))\n",
        "def main():\n    def read(): return read and lines.readline()\n    lines = open(0)\n"
        "    print(int(read()) * 2)\nmain()\n",
    ],
)
def test_a_program_may_open_its_own_files_over_stdin_and_stdout(program, source):
    """They are flushed and closed when the test ends, and do not affect the next test."""
    many = "21\n" + "x\n" * 30_000
    tests = [("4\n", "8"), (many, "42"), ("5\n", "10")]
    verdict = program(source, *tests)
    assert verdict.outcome is Outcome.passed, verdict.error


def test_atexit_functions_run_at_the_end_of_each_test(program):
    source = (
        "import atexit, io, sys\nkept = sys.stdout\nsys.stdout = io.StringIO()\n"
        "@atexit.register\ndef write():\n    kept.write(sys.stdout.getvalue())\n"
        "print(input())\n"
    )
    verdict = program(source, ("a", "a"), ("b", "b"))
    assert verdict.outcome is Outcome.passed, verdict.error
    assert verdict.executed_lines == (1, 2, 3, 4, 5, 6, 7)


def test_unusual_return_values_of_honest_programs_are_accepted(call):
    lifted = "import sys\nsys.set_int_max_str_digits(0)\ndef f(x): return 10 ** x\n"
    assert call(lifted, ([5000], 10**5000), ([1], 10)).outcome is Outcome.passed
    assert call("def f(): return {'\\0': 1}\n", ([], {"\0": 1})).outcome is Outcome.passed


def test_stdin_may_be_a_list_of_lines(program):
    verdict = program("print(input() + input())", (["a", "b"], ["ab"]))
    assert verdict.outcome is Outcome.passed


def test_expected_output_may_be_a_list_of_lines(program):
    source = "print(input())\nprint('b ')\n"
    assert program(source, (["a"], ["a", "b"]), ("7\n", [7, "b"])).outcome is Outcome.passed
    assert program(source, (["a"], ["a"]), (["a"], ["a b"])).outcome is Outcome.failed


@pytest.mark.parametrize("output", [None, 5, [["a"]], {"a": 1}])
def test_an_expected_output_that_is_not_text_is_refused(program, output):
    with pytest.raises(ValueError, match=r"tests\[0\]\.output must be text or a list of lines"):
        program("print(1)", ("", output))


def test_the_main_guard_runs_in_scripts_and_not_for_called_functions(program, call):
    guard = "if __name__ == '__main__': print('main')\n"
    assert program(guard, ("", "main")).outcome is Outcome.passed
    verdict = call(guard + "def f():\n    return __name__\n", ([], "solution"))
    assert verdict.outcome is Outcome.passed
    assert verdict.executed_lines == (1, 2, 3)


def test_a_test_ends_when_the_programs_threads_have_ended(program):
    source = (
        "import threading, sys\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 26)\n"
        "def main():\n    def deep(n): return n and 1 + deep(n - 1)\n    print(deep(20000))\n"
        "threading.Thread(target=main).start()\n"
    )
    verdict = program(source, ("", "20000"))
    assert verdict.outcome is Outcome.passed, verdict.error
    assert verdict.executed_lines == (1, 2, 3, 4, 5, 6, 7)


def test_exiting_with_status_zero_is_not_an_error(program):
    assert program("print(1)\nexit()\n", ("", "1")).outcome is Outcome.passed
    assert program("print(1)\nraise SystemExit(2)\n", ("", "1")).error == "SystemExit: 2"


def test_a_runtime_error_names_type_message_and_line(call):
    verdict = call("def f(x):\n    y = 1\n    return y // x\n", ([1], 1), ([0], 0), ([1], 1))
    assert verdict.outcome is Outcome.runtime_error
    assert outcomes(verdict) == ["passed", "runtime_error", "passed"]
    assert verdict.tests[1].line == verdict.error_line == 3
    assert verdict.error.startswith("ZeroDivisionError: ")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def f(:\n", 1),
        ("x = 1\nreturn 2\n", 2),
        ("a = 1; break\n", 1),
        ("\x00", None),
        ("\ud800", None),
    ],
)
def test_invalid_source_is_a_compile_error_with_its_line(call, source, line):
    verdict = call(source, ([], None), ([], None))
    assert verdict.outcome is Outcome.compile_error
    assert outcomes(verdict) == ["not_run", "not_run"]
    assert verdict.statements == ()
    assert line is None or verdict.error_line == line


def test_an_error_while_the_program_is_loaded_runs_no_test(call):
    verdict = call("x = 1\nboom\n", ([], None), ([], None))
    assert verdict.outcome is Outcome.runtime_error
    assert outcomes(verdict) == ["runtime_error", "not_run"]
    assert verdict.error == "NameError: name 'boom' is not defined"
    assert verdict.error_line == 2


def test_a_missing_function_is_a_runtime_error(call):
    assert call("g = 1\n", ([], None)).error == "NameError: the program defines no function 'f'"


def test_raising_does_not_pass_even_if_no_output_is_expected(call, program):
    assert call("def f(): raise ValueError\n", ([], None)).outcome is Outcome.runtime_error
    assert program("raise ValueError\n", ("", "")).outcome is Outcome.runtime_error


def test_a_timeout_keeps_the_results_and_the_coverage_so_far(call):
    source = "def f(x):\n    while x:\n        pass\n    return 1\n"
    limits = Limits(wall_seconds=0.5)
    verdict = call(source, ([0], 1), ([1], 1), ([0], 1), limits=limits)
    assert verdict.outcome is Outcome.timeout
    assert outcomes(verdict) == ["passed", "timeout", "not_run"]
    assert verdict.executed_lines == (1, 2, 3, 4)
    assert 0.5 <= verdict.wall_seconds < 3


def test_processor_time_has_a_limit_of_its_own(call):
    source = "def f():\n    while True: pass\n"
    verdict = call(source, ([], 1), limits=Limits(wall_seconds=60, cpu_seconds=1))
    assert verdict.outcome is Outcome.timeout
    assert verdict.error == "processor time limit"


@pytest.mark.parametrize(
    "body", ["x = 'a' * 10**10", "x = []\n    while True: x.append('a' * 10**6)"]
)
def test_exceeding_the_memory_limit_is_out_of_memory(call, body):
    verdict = call(f"def f():\n    {body}\n", ([], 1))
    assert verdict.outcome is Outcome.out_of_memory
    assert 2 in verdict.executed_lines


@pytest.mark.parametrize(
    "death", ["os._exit(0)", "os.abort()", "ctypes.string_at(0)", "signal.raise_signal(9)"]
)
def test_a_killed_process_does_not_pass_and_keeps_its_coverage(call, death):
    source = f"import os, ctypes, signal\ndef f(x):\n    if x:\n        {death}\n    return 1\n"
    verdict = call(source, ([0], 1), ([1], 1), ([0], 1))
    assert verdict.outcome in (Outcome.runtime_error, Outcome.out_of_memory)
    assert outcomes(verdict)[0] == "passed"
    assert outcomes(verdict)[2] == "not_run"
    assert verdict.executed_lines == (1, 2, 3, 4, 5)


def test_a_return_value_beyond_the_output_limit_is_a_runtime_error(call):
    verdict = call("def f():\n    return 'x' * 10**6\n", ([], 1))
    assert verdict.outcome is Outcome.runtime_error
    assert "exceeds its limit" in verdict.error


def test_what_a_called_function_prints_is_discarded(call):
    verdict = call("def f():\n    print('x' * 10**8)\n    return 1\n", ([], 1))
    assert verdict.outcome is Outcome.passed, verdict.error


def test_printing_beyond_the_output_limit_is_a_runtime_error(program):
    assert program("print('x' * 10**6)", ("", "x" * 10**6)).outcome is Outcome.runtime_error


def test_stopping_at_the_first_failure_is_recorded(call):
    tests = (([5], 10), ([1], 0), ([5], 10))
    verdict = call(DOUBLE, *tests, stop_at_first_failure=True)
    assert verdict.outcome is Outcome.failed
    assert outcomes(verdict) == ["passed", "failed", "not_run"]
    assert verdict.stopped_early
    first = call(DOUBLE, ([5], 11), ([1], -1), stop_at_first_failure=True)
    assert first.executed_lines == (1, 2, 3)
    whole = call(DOUBLE, ([5], 10), ([1], -1), stop_at_first_failure=True)
    assert whole.outcome is Outcome.passed
    assert whole.executed_lines == (1, 2, 3, 4)
    assert not whole.stopped_early


COUNTS = "seen = []\ndef f(x):\n    seen.append(x)\n    if x < 0: boom\n    return len(seen)\n"


def test_isolated_tests_share_no_state_and_coverage_is_their_union(call):
    tests = (([1], 1), ([2], 1), ([-1], 1), ([3], 1))
    assert outcomes(call(COUNTS, *tests)) == ["passed", "failed", "runtime_error", "failed"]
    verdict = call(COUNTS, *tests, isolate_tests=True)
    assert outcomes(verdict) == ["passed", "passed", "runtime_error", "passed"]
    assert verdict.outcome is Outcome.runtime_error
    assert all(statement.executed for statement in verdict.statements)
    assert not verdict.stopped_early


def test_isolated_tests_share_one_time_limit(call):
    source = "import time\ndef f(x):\n    time.sleep(x)\n    return x\n"
    limits = Limits(wall_seconds=0.6)
    verdict = call(source, ([0], 0), ([9], 9), ([0], 0), isolate_tests=True, limits=limits)
    assert outcomes(verdict) == ["passed", "timeout", "not_run"]
    assert verdict.outcome is Outcome.timeout
    assert verdict.wall_seconds < 3


def test_random_numbers_and_hash_order_are_the_same_in_every_run(call):
    source = "import random\ndef f():\n    return [random.random(), [*{'a', 'b', 'c', 'd'}]]\n"
    first, second = call(source, ([], None)), call(source, ([], None))
    assert first.error == second.error


def test_an_input_that_cannot_be_sent_names_its_test(sandbox):
    tests = (Test(input=[1], output=1), Test(input=[object()], output=1))
    with pytest.raises(ValueError, match=r"tests\[1\].input: .* type object cannot be sent"):
        sandbox.run(Job(id="x", source=DOUBLE, fn_name="f", tests=tests))
    with pytest.raises(ValueError, match=r"tests\[0\].input must be text"):
        sandbox.run(Job(id="x", source=DOUBLE, fn_name=None, tests=tests))


def test_without_coverage_there_are_no_statements():
    with open_sandbox("process", coverage=False) as bare:
        tests = (Test(input=[5], output=10),)
        verdict = bare.run(Job(id="x", source=DOUBLE, fn_name="f", tests=tests))
    assert verdict.outcome is Outcome.passed
    assert verdict.statements == ()


def test_a_job_says_how_its_outputs_are_compared(call, program):
    source = "def f(x):\n    return [x, x]\n"
    assert call(source, ([1], (1, 1))).outcome is Outcome.passed
    verdict = call(source, ([1], (1, 1)), comparison="exact")
    assert verdict.error == "expected (1, 1), got [1, 1]"
    pair = "def f(x):\n    return (x, x)\n"
    assert call(pair, ([1], (1, 1)), comparison="exact").outcome is Outcome.passed
    assert call(source, ([1], [[1, 1]])).outcome is Outcome.failed
    assert call(source, ([1], [[1, 1]]), comparison="apps").outcome is Outcome.passed
    shuffled = "def f():\n    return [2, 1]\n"
    assert call(shuffled, ([], [1, 2]), comparison="unordered").outcome is Outcome.passed
    assert program("print(0.5)", ("", "0.50")).outcome is Outcome.passed
    assert program("print(0.5)", ("", "0.50"), comparison="exact").outcome is Outcome.failed


def test_numbers_of_the_standard_library_compare_by_value(call):
    source = (
        "from decimal import Decimal\nfrom fractions import Fraction\n"
        "def f():\n    return [Decimal('0.5'), Fraction(1, 2), Fraction(6, 2), Decimal(7)]\n"
    )
    for comparison in ("exact", "close"):
        verdict = call(source, ([], [0.5, 0.5, 3, 7]), comparison=comparison)
        assert verdict.outcome is Outcome.passed, verdict.error


def test_a_changed_argument_may_be_the_result(call):
    source = "class Solution:\n    def f(self, s, by=1):\n        s.reverse()\n"
    assert call(source, ([["a", "b"]], ["b", "a"])).outcome is Outcome.failed
    verdict = call(source, ([["a", "b"]], ["b", "a"]), ([[1], 2], [1]), result_argument=0)
    assert verdict.outcome is Outcome.passed, verdict.error
    rebinds = "def f(s):\n    s = s[::-1]\n    return s\n"
    verdict = call(rebinds, ([["a", "b"]], ["b", "a"]), result_argument=0)
    assert verdict.error == "expected ['b', 'a'], got ['a', 'b']"


def test_a_changed_keyword_argument_may_be_the_result(sandbox):
    test = Test(input=[], kwargs={"k": 1, "s": [1, 2]}, output=[2, 1])
    source = "def f(s, k):\n    s.reverse()\n    return k\n"
    for position, outcome in [(1, Outcome.passed), (0, Outcome.failed)]:
        job = Job(id="k", source=source, fn_name="f", tests=(test,), result_argument=position)
        assert sandbox.run(job).outcome is outcome
    with pytest.raises(ValueError, match=r"tests\[0\].input has 2 arguments: none at position 2"):
        sandbox.run(job.model_copy(update={"result_argument": 2}))


def test_a_byte_order_mark_is_no_content(program, call):
    verdict = program("\ufeffx = input()\nprint(x)\n", ("\ufeff5\n", "5"), ("5", "\ufeff5"))
    assert verdict.outcome is Outcome.passed, verdict.error
    assert verdict.statements == ((3, 14, True), (15, 23, True))
    assert verdict.executed_lines == (1, 2)
    assert program("print('\ufeff5')\n", ("", "5"), comparison="exact").outcome is Outcome.passed
    assert call("\ufeffdef f(x):\n    return x\n", (["\ufeff"], "\ufeff")).outcome is Outcome.passed


LOOPS_FROM_3 = "n = int(input())\nwhile n >= 3:\n    pass\nprint(n)\n"


def stdin_job(seconds_per_test):
    tests = tuple(Test(input=f"{n}\n", output=f"{n}\n") for n in range(1, 6))
    return Job(
        id="timed", source=LOOPS_FROM_3, fn_name=None, tests=tests,
        seconds_per_test=seconds_per_test,
    )  # fmt: skip


def test_a_test_that_takes_longer_than_its_data_set_gives_it_ends_the_run(sandbox):
    verdict = sandbox.run(stdin_job(0.5))
    assert verdict.outcome is Outcome.timeout
    assert outcomes(verdict) == ["passed", "passed", "timeout", "not_run", "not_run"]
    assert verdict.cpu_seconds < 2


def test_the_limits_are_raised_to_what_the_data_set_gives_all_tests(sandbox):
    """Sleeping takes no processor time: only the limit over all tests ends it."""
    source = "import time\ntime.sleep(0.4)\nprint(input())\n"
    tests = tuple(Test(input=f"{n}\n", output=f"{n}\n") for n in range(4))
    job = Job(id="slow", source=source, fn_name=None, tests=tests, limits=Limits(wall_seconds=1))
    assert sandbox.run(job).outcome is Outcome.timeout
    longer = job.model_copy(update={"seconds_per_test": 2.0})
    assert sandbox.run(longer).outcome is Outcome.passed

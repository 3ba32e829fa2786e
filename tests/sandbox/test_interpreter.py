"""Programs behave as under an interpreter of their own, in every test anew."""

import pytest

from sandbox import Outcome
from tests.sandbox.sums import SUMS, TESTS


@pytest.mark.parametrize("name", SUMS)
def test_a_program_that_is_right_in_its_own_interpreter_passes(program, name):
    verdict = program(SUMS[name], *TESTS)
    assert verdict.outcome is Outcome.passed, verdict.error


def test_recursion_through_a_cache_is_as_deep_as_the_stack(call):
    source = (
        "import functools, sys\nsys.setrecursionlimit(10 ** 6)\n@functools.lru_cache(None)\n"
        "def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\n"
    )
    verdict = call(source, ([500], 500), ([20000], 20000))
    assert verdict.outcome is Outcome.passed, verdict.error

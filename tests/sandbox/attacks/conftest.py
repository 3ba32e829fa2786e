"""After every attack the same warm runner still gives an honest program its verdict."""

import pytest

from curriculum.problem import Test
from sandbox import Job, Outcome

GOOD = "def f(x):\n    return x + 1\n"


@pytest.fixture(autouse=True)
def the_next_job_is_unharmed(sandbox):
    """An honest job after each test."""
    yield
    tests = tuple(Test(input=[n], output=n + 1) for n in range(3))
    verdict = sandbox.run(Job(id="next", source=GOOD, fn_name="f", tests=tests))
    assert verdict.outcome is Outcome.passed
    assert verdict.executed_lines == (1, 2)
    assert not verdict.coverage_tampered

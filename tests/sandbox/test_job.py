"""Jobs: made from problems, and refused where they would have no verdict."""

import pytest
from pydantic import ValidationError

from curriculum.problem import Assertions, Problem, Test
from sandbox import Job, Limits

PROBLEM = Problem(
    id="double",
    question="Double x.",
    preamble="import math\n",
    solution="def f(x):\n    return 2 * x\n",
    fn_name="f",
    tests=(Test(input=[1], output=2),),
    difficulty="introductory",
    source="tests",
)


def test_a_job_takes_function_and_tests_from_its_problem():
    job = Job.for_program(PROBLEM, "def f(x): return x + x\n")
    assert (job.id, job.source) == ("double", "def f(x): return x + x\n")
    assert (job.fn_name, job.tests) == (PROBLEM.fn_name, PROBLEM.tests)
    assert job.limits is None


def test_a_job_may_have_limits_and_an_id_of_its_own():
    limits = Limits(wall_seconds=3)
    job = Job.for_program(PROBLEM, PROBLEM.program, limits, id="17")
    assert (job.id, job.limits) == ("17", limits)


def test_an_empty_test_list_is_an_error():
    with pytest.raises(ValidationError, match="at least one test"):
        Job(id="x", source="", fn_name=None, tests=())


def test_limits_of_zero_are_errors():
    for field in ("wall_seconds", "cpu_seconds", "memory_mib", "output_kib"):
        with pytest.raises(ValidationError, match=field):
            Limits(**{field: 0})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"statements": ()}, "at least 1 item"),
        ({"statements": ("assert f(1) == 1", "assert (")}, "statement 1 is not Python"),
        ({"statements": ("x",), "setup": "def"}, "setup is not Python"),
        ({"statements": ("\0",)}, "statement 0 is not Python"),
    ],
)
def test_invalid_assertions_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Assertions(**fields)


def test_a_job_has_tests_or_assertions():
    assertions = Assertions(statements=("assert f(1) == 1",))
    tests = (Test(input=[1], output=1),)
    with pytest.raises(ValidationError, match="leave out tests and fn_name"):
        Job(id="a", source="", assertions=assertions, tests=tests, fn_name=None)
    with pytest.raises(ValidationError, match="leave out tests and fn_name"):
        Job(id="a", source="", assertions=assertions, fn_name="f")
    with pytest.raises(ValidationError, match="at least one test"):
        Job(id="a", source="", fn_name=None)

import pytest
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("fn_name", "test", "message"),
    [
        (
            "f",
            {"input": "1", "output": 1},
            r"tests\[0\].input must be a list of arguments, not str",
        ),
        (None, {"input": [1], "output": "1"}, r"tests\[0\] of a stdin program needs string"),
        (None, {"input": "1", "output": 1}, r"tests\[0\] of a stdin program needs string"),
        (None, {"input": "1", "output": "1", "kwargs": {"a": 1}}, "takes no arguments"),
        ("f", {"input": [1]}, "output"),
        ("f", {"input": [1], "output": 1, "stdin": ""}, "stdin"),
    ],
)
def test_tests_must_fit_the_calling_convention(make_problem, fn_name, test, message):
    with pytest.raises(ValidationError, match=message):
        make_problem(fn_name=fn_name, tests=(test,))


@pytest.mark.parametrize(
    ("field", "value"), [("tests", ()), ("id", ""), ("difficulty", "easy"), ("fn_name", "")]
)
def test_empty_and_unknown_values_are_refused(make_problem, field, value):
    with pytest.raises(ValidationError, match=field):
        make_problem(**{field: value})


def test_a_preamble_is_whole_lines_before_the_solution(make_problem):
    problem = make_problem(preamble="import math\n")
    assert problem.program == f"import math\n{problem.canonical_solution}"
    with pytest.raises(ValidationError, match="must end with a newline"):
        make_problem(preamble="import math")

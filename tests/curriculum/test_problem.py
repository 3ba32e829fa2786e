import ast

import pytest
from pydantic import ValidationError

from curriculum.problem import Problem, Test, behind_preamble


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
    assert problem.program == f"import math\n{problem.solution}"
    with pytest.raises(ValidationError, match="must end with a newline"):
        make_problem(preamble="import math")


@pytest.mark.parametrize(
    "code",
    [
        "from __future__ import annotations\nx: List[int] = 1\n",
        "\r\n# coding\r\nfrom __future__ import annotations\r\nx: y = 1\r\n",
        '"""Text."""\nfrom __future__ import (\n  division,  # é\n)\nx = 1\n',
        "'text'; from __future__ import division; from __future__ import annotations; x = 1",
        "from __future__ import \\\n    division\nx = 1\n",
    ],
)
def test_future_imports_compile_behind_a_preamble_and_the_code_keeps_its_place(code):
    preamble = '"""Helpers."""\nimport math\n'
    program = behind_preamble(preamble, code)
    first = ast.parse(program).body[0]
    assert isinstance(first, ast.ImportFrom)
    assert first.module == "__future__"
    tail = program.encode()[-len(code.encode()) :]
    assert tail.endswith(code.encode()[-5:])
    assert tail.count(b"\n") == code.encode().count(b"\n")
    assert program.encode()[: -len(tail)].endswith(preamble.encode())
    compile(program, "program", "exec", dont_inherit=True)


@pytest.mark.parametrize("start", ["x = 1\n", "'''open\n", "f()\n"])
def test_what_python_refuses_without_a_preamble_it_refuses_behind_one(start):
    code = start + "from __future__ import division\n"
    assert behind_preamble("import math\n", code) == "import math\n" + code


def test_a_number_may_be_an_id(make_problem):
    assert make_problem(id=7).id == "7"


def test_only_id_question_solution_and_tests_must_be_given():
    required = {name for name, field in Problem.model_fields.items() if field.is_required()}
    assert required == {"id", "question", "solution"}
    with pytest.raises(ValidationError, match="at least 1 test"):
        Problem(id="a", question="q", solution="print(1)")


@pytest.mark.parametrize(
    "fields",
    [
        {"question": "Smile \ud83d"},
        {"solution": "print('\ud83d')"},
        {"tests": [Test(input="\ud83d", output="1")]},
    ],
)
def test_half_of_a_character_is_refused(fields):
    whole = {"id": "a", "question": "q", "solution": "", "tests": [Test(input="", output="1")]}
    with pytest.raises(ValidationError, match="not Unicode: half of a character at"):
        Problem(**(whole | fields))

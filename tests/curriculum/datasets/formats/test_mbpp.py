import pytest

from curriculum.datasets.registry import read_source
from curriculum.errors import BadRecord
from curriculum.problem import Assertions, Problem, Test

MBPP = {
    "task_id": 7,
    "text": "Add one. ",
    "code": "def f(x):\r\n\tif x:\r\n\t\treturn x + 1\r\n\treturn 1",
    "test_setup_code": "import math",
    "test_list": ["assert f(1) == 2", "assert f(0)==1"],
}


def test_code_is_normalised_and_asserts_become_calls(write_records):
    [problem] = read_source(write_records(MBPP))
    assert problem == Problem(
        id="mbpp/7",
        question="Add one.",
        preamble="import math\n",
        solution="def f(x):\n    if x:\n        return x + 1\n    return 1",
        fn_name="f",
        tests=(Test(input=[1], output=2), Test(input=[0], output=1)),
        comparison="exact",
        difficulty="introductory",
        source="mbpp",
    )


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"test_list": "assert f(1)"}, "test_list", "must be a list of texts, not str"),
        ({"test_list": ["assert ("]}, "test_list", "never closed"),
        ({"test_list": []}, "test_list", "no test"),
        ({"test_list": ["assert f(1)", "f(1)"]}, "test_list", "asserts nothing"),
        ({"test_list": ["assert g(1) == 2 or 1"]}, "test_list", "calls no function of the sol"),
        ({"code": "print 1"}, "code", "not Python 3: Missing parentheses"),
        ({"code": None}, "code", "must be text, not null"),
        ({"code": 5}, "code", "must be text, not int"),
    ],
)
def test_a_bad_record_is_named_by_file_index_and_field(write_records, change, field, reason):
    path = write_records(MBPP, MBPP | {"task_id": 8} | change)
    with pytest.raises(BadRecord, match=rf"data\.jsonl: line 2: {field}: .*({reason})"):
        list(read_source(path))


@pytest.mark.parametrize(
    "test",
    ["assert abs(f(1) - 2) < 1e-6", "assert f(1)", "assert not f(-1)", "assert set(f(1)) == {2}",
     "assert f(1) is True", "assert f(open('x')) == 1"],
)  # fmt: skip
def test_what_is_no_plain_equality_stays_code(write_records, test):
    [problem] = read_source(write_records(MBPP | {"test_list": ["assert f(1) == 2", test]}))
    assert problem.tests == ()
    assert problem.assertions == Assertions(statements=("assert f(1) == 2", test))
    assert (problem.fn_name, problem.preamble) == ("f", "import math\n")


def test_code_that_calls_several_functions_names_the_one_under_test(write_records):
    code = (
        "class Node:\n    pass\ndef make(x):\n    return Node()\ndef depth(node):\n    return 1\n"
    )
    tests = ["assert depth(make(1)) == 1", "assert depth(Node()) == 1"]
    [problem] = read_source(write_records(MBPP | {"code": code, "test_list": tests}))
    assert problem.fn_name == "depth"


def test_the_sanitized_form_has_a_prompt_and_imports(write_records):
    record = {
        "source_file": "Benchmark Questions Verification V2.ipynb", "task_id": 2, "prompt": "Add.",
        "code": "def f(x):\n    return x + 1", "test_imports": ["import math"],
        "test_list": ["assert math.isclose(f(1), 2, rel_tol=0.001)"],
    }  # fmt: skip
    [problem] = read_source(write_records(record))
    assert (problem.question, problem.preamble, problem.id) == ("Add.", "import math\n", "mbpp/2")
    assert problem.assertions is not None
    assert problem.assertions.statements == tuple(record["test_list"])


def test_mbpp_plus_keeps_its_code(write_records):
    test = (
        "import numpy as np\n\ndef assertion(out, exp, atol):\n    assert out == exp\n\n"
        "inputs = [[1], [2]]\nresults = [2, 3]\n"
        "for inp, exp in zip(inputs, results):\n    assertion(f(*inp), exp, 0)\n"
    )
    record = {
        "task_id": 2, "code": "def f(x):\n    return x + 1", "prompt": "Add.", "source_file": "",
        "test_imports": [], "test_list": ["assert f(1) == 2"], "test": test,
    }  # fmt: skip
    [problem] = read_source(write_records(record))
    assert (problem.id, problem.fn_name, problem.tests) == ("mbppplus/2", "f", ())
    assert problem.assertions is not None
    [statement] = problem.assertions.statements
    assert statement.startswith("for inp, exp in")
    assert "import numpy" in problem.assertions.setup


def test_set_up_code_that_uses_the_solution_runs_behind_it(write_records):
    record = MBPP | {
        "code": "class Node:\n    pass\ndef f(node):\n    return node.x + 1",
        "test_setup_code": "node = Node()\r\nnode.x = 1",
        "test_list": ["assert f(node) == 2"],
    }
    [problem] = read_source(write_records(record))
    assert problem.assertions == Assertions(
        setup="node = Node()\nnode.x = 1", statements=("assert f(node) == 2",)
    )
    assert (problem.fn_name, problem.preamble) == ("f", "")

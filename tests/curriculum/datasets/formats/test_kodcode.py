import pytest

from curriculum.datasets.registry import read_source
from curriculum.errors import BadRecord
from tests.curriculum.datasets.published import GOOD

RECORD = GOOD["kodcode"]


def statements(write_records, test, solution=RECORD["solution"]):
    """The statements of a record's tests, after they have been run on the solution."""
    [problem] = read_source(write_records(RECORD | {"test": test, "solution": solution}))
    assert problem.assertions is not None
    namespace = {}
    exec(problem.program, namespace)
    exec(problem.assertions.setup, namespace)
    for statement in problem.assertions.statements:
        exec(statement, namespace)
    return problem.assertions.statements


def test_each_test_function_is_a_test_and_the_declaration_is_starter_code(write_records):
    test = (
        "from solution import f\nimport pytest\n\nLIMIT = 3\n\n"
        "def helper(x):\n    return x\n\ndef test_a():\n    assert f(LIMIT) == helper(3)\n\n"
        "def test_b():\n    assert f(2) == 2\n\n"
        "if __name__ == '__main__':\n    pytest.main()\n"
    )
    [problem] = read_source(write_records(RECORD | {"test": test}))
    assert (problem.fn_name, problem.starter_code) == ("f", "def f(x):\n")
    assert (problem.difficulty, problem.tests) == ("competition", ())
    assert statements(write_records, test) == ("test_a()", "test_b()")
    assert problem.assertions is not None
    assert "import pytest" not in problem.assertions.setup, "nothing of it is used"


@pytest.mark.parametrize(
    "line",
    ["from solution import f as g", "import solution\ng = solution.f", "from solution import *",
     "import solution as s\ng = s.f", "from solution import f as g, f as h"],
)  # fmt: skip
def test_every_way_to_import_the_solution_gives_its_names(write_records, line):
    name = "f" if "*" in line else "g"
    statements(write_records, f"{line}\ndef test_f():\n    assert {name}(1) == 1\n")


def test_a_parametrized_test_is_one_test_for_each_set(write_records):
    test = (
        "import pytest\nfrom solution import f\n\n"
        "@pytest.mark.parametrize('x, y', [(1, 1), (2, 2), pytest.param(3, 3, id='c')])\n"
        "@pytest.mark.parametrize('z', [None, 0])\n"
        "def test_f(x, y, z):\n    assert f(x) == y\n"
    )
    assert len(statements(write_records, test)) == 6


def test_the_methods_of_a_test_class_are_tests(write_records):
    test = (
        "from solution import f\n\nclass TestF:\n    def setup_method(self):\n        self.x = 1\n"
        "    def test_a(self):\n        assert f(self.x) == 1\n"
        "    def test_b(self):\n        assert f(2) == 2\n"
    )
    assert len(statements(write_records, test)) == 2


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("def test_f(tmp_path):\n    assert f(1) == 1\n", "needs the fixture 'tmp_path'"),
        ("def check():\n    assert f(1) == 1\n", "no function test_..."),
        ("def test_f():\n    f(1)\n", "asserts nothing"),
        ("def test_f(:\n", "invalid syntax"),
    ],
)
def test_tests_that_cannot_be_run_are_named(write_records, test, reason):
    with pytest.raises(BadRecord, match=f"line 1: test: .*{reason}"):
        list(read_source(write_records(RECORD | {"test": test})))

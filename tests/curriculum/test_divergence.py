"""Where a program leaves the canonical solution, by hand."""

import pytest

from curriculum.divergence import first_divergence

CANONICAL = "def f(a):\n    b = a + 1\n    if b:\n        b = 2\n    return b\n"


@pytest.mark.parametrize(
    ("program", "common"),
    [
        ("def g(a):\n    return a", ""),
        ("def f(a):\n    b = a + 2\n", "def f(a):"),
        ("def f(a):\n\n  # why\n  b =  a+1 ;c = 1\n", "def f(a):"),
        ("def f(a):\n    # why\n    b = (a +\n         1)\n", "def f(a):"),
        ("def f(a):  # é\n\n    b  = a + 1 # two\n    return b\n",
         "def f(a):  # é\n\n    b  = a + 1"),
        ("def f(a):\n\tb = a+1\n\tif b:\n\t\tb = 3\n", "def f(a):\n\tb = a+1\n\tif b:"),
        ("def f(a):\r\n    b = a + 1\r\n    if b:\r\n        b = 2\r\n        return b\r\n",
         "def f(a):\r\n    b = a + 1\r\n    if b:\r\n        b = 2"),
        (CANONICAL + "print(f(1))\n", CANONICAL.rstrip()),
    ],
)  # fmt: skip
def test_the_common_lines_end_before_the_first_that_differs(program: str, common: str) -> None:
    assert first_divergence(program, CANONICAL) == len(common.encode())


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(CANONICAL, id="equal"),
        pytest.param(CANONICAL.replace("if b:", "if b:  # or not\n"), id="equal but for comments"),
        pytest.param("def f(a):\n    b = a + 1\n", id="ends early"),
        pytest.param("def f(a:\n", id="cannot be read"),
        pytest.param("def f(a):\n    s = '''\n", id="a string without an end"),
        pytest.param("", id="empty"),
    ],
)
def test_without_a_line_that_differs_there_is_no_divergence(program: str) -> None:
    assert first_divergence(program, CANONICAL) is None


def test_a_string_over_several_lines_is_one_line() -> None:
    same = 's = """é\né"""\n'
    assert first_divergence(same + "x = 1", same + "x = 2") == len(same.encode()) - 1
    assert first_divergence('s = """é\nb"""', same) == 0


def test_without_a_canonical_solution_no_line_is_common() -> None:
    assert first_divergence(CANONICAL, "") == 0

"""Which part of a solution its function needs, and that no stage's prefix is the whole answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from curriculum.config import CurriculumConfig
from curriculum.problem import Problem, Test
from curriculum.schedule.make import SCHEDULES, stage_offsets
from curriculum.solution_end import solution_end

MakeProblem = Callable[..., Problem]
F = "def f(x):\n    if x:\n        return 1\n    return 0\n"
CALL = 'if __name__ == "__main__":\n    print(f(1))\n'
TESTS = "for x, y in [(0, 0)]:\n    assert f(x) == y\nprint(f(2))\nassert f(1) == 1\n"
LOOP = "n = 3\nwhile n:\n    print(f(n))\n    n -= 1\n"
UNITTEST = (
    "import unittest\n\n\nclass TestF(unittest.TestCase):\n    def test(self):\n        pass\n"
)
HELPER = "def f(x):\n    return g(x) + TABLE[x]\n\n\n"
G = "def g(x):\n    if x:\n        return 2\n    return 3\n"
TABLE = "TABLE = [0] * 9\n"
FILL = "for i in range(9):\n    if i % 2:\n        TABLE[i] = i\n"
METHOD = "class Solution:\n    def f(self, x):\n        for y in x:\n            return y\n"


@pytest.mark.parametrize(
    ("needed", "behind"),
    [
        (F, CALL),
        (F, TESTS),
        (F, LOOP),
        (F, UNITTEST + CALL),
        (F, "def main():\n    if f(1):\n        print(2)\n\n\nmain()\n"),
        (HELPER + TABLE + FILL + G, CALL),
        (HELPER + G + TABLE + FILL, TESTS),
        ("import math\n" + F + "f = memo = f\n", CALL),
        (METHOD, "for case in [1]:\n    print(Solution().f(case))\n"),
        ("if True:\n    " + F.replace("\n", "\n    ").rstrip() + "\n", CALL),
        ("s = 'é'\r\n" + F.replace("\n", "\r\n"), CALL),
    ],
)
@pytest.mark.parametrize("mode", [mode for mode in SCHEDULES if mode != "none"])
def test_no_prefix_holds_the_whole_answer(
    make_problem: MakeProblem, needed: str, behind: str, mode: str
) -> None:
    problem = make_problem(solution=f"{needed}\n\n{behind}")
    assert solution_end(problem) == len(needed.rstrip())
    offsets = stage_offsets(problem, CurriculumConfig.model_validate({"mode": mode}))
    assert offsets
    assert max(offsets) < len(needed.rstrip())
    alone = make_problem(solution=needed)
    assert solution_end(alone) == len(needed.rstrip())


@pytest.mark.parametrize(
    "fields",
    [
        {"solution": f"{F}{CALL}", "fn_name": None, "tests": (Test(input="1\n", output="1\n"),)},
        {"solution": "from answers import *\nif x:\n    y = 1\n"},
    ],
)
def test_without_a_known_function_the_whole_solution_is_needed(
    make_problem: MakeProblem, fields: dict[str, object]
) -> None:
    problem = make_problem(**fields)
    assert solution_end(problem) == len(problem.solution)

import pytest

from curriculum.datasets.registry import read_source
from curriculum.errors import BadRecord
from curriculum.problem import Test

LEETCODE = {
    "task_id": "two-sum",
    "difficulty": "Hard",
    "problem_description": "Two sum.",
    "prompt": "from typing import *\n",
    "starter_code": "class Solution:\n    def twoSum(self, nums: List[int], target):\n        ",
    "completion": "class Solution:\n    def twoSum(self, nums, target):\n        return [0, 1]\n",
    "entry_point": "Solution().twoSum",
    "test": "def check(candidate):\n    assert candidate(nums = [3,3],target = 6) == [0,1]\n",
}


def test_the_preamble_is_kept_apart_and_the_method_is_called(write_records):
    [problem] = read_source(write_records(LEETCODE))
    assert (problem.preamble, problem.fn_name) == ("from typing import *\n\n", "twoSum")
    assert problem.tests == (Test(input=[], kwargs={"nums": [3, 3], "target": 6}, output=[0, 1]),)
    assert (problem.difficulty, problem.id) == ("competition", "leetcode/two-sum")


def test_an_unknown_difficulty_is_named(write_records):
    path = write_records(LEETCODE, LEETCODE | {"task_id": "other", "difficulty": "grim"})
    message = r"data\.jsonl: line 2: difficulty: 'grim' is none of easy, medium, hard"
    with pytest.raises(BadRecord, match=message):
        list(read_source(path))


HELPERS = """\
class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next
def list_node(values):
    head = None
    for value in reversed(values):
        head = ListNode(value, head)
    return head
def is_same_list(a, b):
    while a and b and a.val == b.val:
        a, b = a.next, b.next
    return a is None and b is None
"""


def method(signature, *body):
    return f"class Solution:\n    def twoSum(self, {signature}:\n" + "".join(
        f"        {line}\n" for line in body
    )


def run_assertions(problem):
    """Runs a problem's tests that are code, as the sandbox does."""
    namespace = {}
    exec(problem.program, namespace)
    exec(problem.assertions.setup, namespace)
    for statement in problem.assertions.statements:
        exec(statement, namespace)


def test_linked_lists_stay_code_and_each_assert_is_a_test(write_records):
    test = (
        "def check(candidate):\n"
        "    assert is_same_list(candidate(head = list_node([1, 2])), list_node([1, 2]))\n"
        "    assert candidate(head = None) == None\n"
    )
    completion = method("head)", "return head")
    record = LEETCODE | {"prompt": HELPERS, "test": test, "completion": completion}
    [problem] = read_source(write_records(record))
    assert problem.assertions is not None
    assert len(problem.assertions.statements) == 2
    assert "Solution().twoSum(head=list_node([1, 2]))" in problem.assertions.statements[0]
    run_assertions(problem)
    wrong = problem.model_copy(update={"solution": completion.replace("return head", "return 1")})
    with pytest.raises((AssertionError, AttributeError)):
        run_assertions(wrong)


@pytest.mark.parametrize(
    ("signature", "question", "argument"),
    [
        ("s: List[str]) -> None", "Reverse.", 0),
        ("n, s) -> None", "Do not return anything, modify s in-place instead.", 1),
        ("s, n)", "Reverse.", 0),
    ],
)
def test_a_method_that_returns_nothing_is_judged_by_its_argument(
    write_records, signature, question, argument
):
    call = "n = 0, s = ['a', 'b']" if ", " in signature else "s = ['a', 'b']"
    record = LEETCODE | {
        "problem_description": question,
        "completion": method(signature, "s.reverse()"),
        "test": f"def check(candidate):\n    assert candidate({call}) == ['b', 'a']\n",
    }
    [problem] = read_source(write_records(record))
    [test] = problem.tests
    assert problem.result_argument == argument
    assert test.input[argument] == ["a", "b"]
    assert (test.kwargs, test.output) == ({}, ["b", "a"])


def test_a_linked_list_that_is_changed_in_place_is_compared_after_the_call(write_records):
    test = (
        "def check(candidate):\n"
        "    assert is_same_list(candidate(head = list_node([1, 2])), list_node([9, 2]))\n"
    )
    completion = method("head) -> None", "head.val = 9")
    record = LEETCODE | {"prompt": HELPERS, "test": test, "completion": completion}
    [problem] = read_source(write_records(record))
    run_assertions(problem)
    with pytest.raises(AssertionError):
        run_assertions(problem.model_copy(update={"solution": completion.replace("9", "8")}))


def test_a_solution_with_future_imports_compiles_behind_its_preamble(write_records):
    completion = "from __future__ import annotations\n\n" + LEETCODE["completion"]
    [problem] = read_source(write_records(LEETCODE | {"completion": completion}))
    exec(compile(problem.program, "program", "exec", dont_inherit=True), {})

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
    message = r"data\.jsonl: record 1: difficulty: 'grim' is none of easy, medium, hard"
    with pytest.raises(BadRecord, match=message):
        list(read_source(path))

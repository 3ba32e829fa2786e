"""A small record of each form, as published in form and made up in content."""

import base64
import json
import pickle
import zlib

PRIVATE = [{"input": "4\n", "output": "5\n", "testtype": "stdin"}]


def packed(tests) -> str:
    """Private tests as LiveCodeBench compresses them."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


GOOD: dict[str, dict] = {
    "stepcoder": {
        "id": "a", "question": "q", "solution": "def f(x): return x", "fn_name": "f",
        "tests": [{"input": [1], "output": 1}],
    },
    "apps_plus": {
        "id": "a", "question": "q", "solution": "def f(x): return x", "fn_name": "f",
        "inputs": [[1]], "outputs": [1], "difficulty": "interview",
    },
    "apps": {
        "problem_id": 1, "question": "q", "solutions": json.dumps(["print 1", "print(input())"]),
        "input_output": json.dumps({"inputs": ["1\n"], "outputs": ["1\n"]}),
        "difficulty": "interview", "url": "u", "starter_code": "",
    },
    "taco": {
        "question": "q", "solutions": json.dumps(["print(input())"]), "starter_code": "",
        "input_output": json.dumps({"inputs": ["1\n"], "outputs": ["1\n"]}),
        "difficulty": "MEDIUM_HARD", "raw_tags": "[]", "name": None, "source": "codechef",
        "tags": "[]", "skill_types": "[]", "url": "u", "time_limit": "2.0 seconds",
    },
    "code_contests": {
        "name": "1_A. Echo", "description": "q", "difficulty": 7, "cf_rating": 0, "source": 2,
        "public_tests": {"input": ["1\n"], "output": ["1\n"]},
        "private_tests": {"input": ["2\n"], "output": ["2\n"]},
        "generated_tests": {"input": [], "output": []},
        "solutions": {"language": [1, 2, 3], "solution": ["print 1", "int", "print(input())"]},
        "time_limit": {"seconds": 1, "nanos": 500000000}, "input_file": "", "output_file": "",
    },
    "livecodebench": {
        "question_title": "t", "question_content": "q", "platform": "atcoder",
        "question_id": "abc1_a", "contest_id": "abc1", "contest_date": "2024-05-01T00:00:00",
        "starter_code": "", "difficulty": "easy", "metadata": "{}",
        "public_test_cases": json.dumps([{"input": "1\n", "output": "2\n", "testtype": "stdin"}]),
        "private_test_cases": packed(PRIVATE),
    },
    "human_eval": {
        "task_id": "H/0", "prompt": "def f(x):\n", "entry_point": "f",
        "canonical_solution": "    return x\n", "test": "def check(c):\n    assert c(1) == 1\n",
    },
    "mbpp": {
        "task_id": 1, "text": "q", "code": "def f(x): return x",
        "test_list": ["assert f(1) == 1"], "test_setup_code": "", "challenge_test_list": [],
    },
    "leetcode": {
        "task_id": "two", "problem_description": "q", "difficulty": "Easy",
        "completion": "class Solution:\n    def f(self, x): return x\n",
        "entry_point": "Solution().f", "test": "def check(c):\n    assert c(1) == 1\n",
    },
    "kodcode": {
        "question_id": "K_1", "question": "q", "solution": "def f(x):\n    return x\n",
        "test": "from solution import f\n\ndef test_f():\n    assert f(1) == 1\n",
        "test_info": [{"function_name": "f", "function_declaration": "def f(x):"}],
        "gpt_difficulty": "hard", "subset": "Leetcode", "style": "instruct",
    },
    "codeforces": {
        "id": "1/A", "title": "Echo", "description": "q", "input_format": "n", "rating": 1900,
        "output_format": "n", "examples": [{"input": "1\n", "output": "1\n"}],
        "official_tests": [{"input": "2\n", "output": "2\n"}], "time_limit": 2.0,
        "input_mode": "stdio", "interaction_format": None, "note": None,
        "generated_checker": "print(1)\n",
    },
}  # fmt: skip
"""Form to one record."""

OTHER_ID: dict[str, dict] = {
    "stepcoder": {"id": "b"}, "apps_plus": {"id": "b"}, "apps": {"problem_id": 2},
    "code_contests": {"name": "1_B. Echo"}, "livecodebench": {"question_id": "abc1_b"},
    "human_eval": {"task_id": "H/1"}, "mbpp": {"task_id": 2}, "leetcode": {"task_id": "three"},
    "kodcode": {"question_id": "K_2"}, "codeforces": {"id": "1/B"}, "taco": {},
}  # fmt: skip
"""What gives another record another id; TACO has none."""

WITHOUT_OUTPUTS: dict[str, tuple[dict, str]] = {
    "stepcoder": ({"tests": [{"input": [1]}]}, r"tests\.0\.output: missing"),
    "apps_plus": ({"outputs": []}, "outputs: 0 outputs for 1 inputs"),
    "apps": ({"input_output": '{"inputs": ["1"]}'}, "outputs: missing"),
    "taco": ({"input_output": '{"inputs": ["1"]}'}, "outputs: missing"),
    "code_contests": (
        {"public_tests": {"input": ["1"], "output": []}}, "public_tests: 0 of 'output' for 1",
    ),
    "livecodebench": ({"public_test_cases": '[{"input": "1"}]'}, "public_test_cases: testtype"),
    "human_eval": ({"test": "def check(c):\n    c(1)\n"}, "test: asserts nothing"),
    "mbpp": ({"test_list": ["assert f(1)", "f(1)"]}, "test_list: asserts nothing"),
    "leetcode": ({"test": "def check(c):\n    c(1)\n"}, "test: asserts nothing"),
    "kodcode": ({"test": "def test_f():\n    f(1)\n"}, "test: asserts nothing"),
    "codeforces": ({"official_tests": [{"input": "1"}]}, "output: missing"),
}  # fmt: skip
"""Tests without expected outputs, and what the error says."""

REQUIRED_KEY: dict[str, str] = {
    "stepcoder": "question", "apps_plus": "question", "apps": "question", "taco": "question",
    "code_contests": "description", "livecodebench": "question_content", "human_eval": "prompt",
    "mbpp": "text", "leetcode": "completion", "kodcode": "solution", "codeforces": "description",
}  # fmt: skip
"""A key that is needed."""

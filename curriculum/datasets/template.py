"""One example of each kind of problem in our own form, as a person would write it."""

import json
from typing import Any

TEMPLATE: tuple[dict[str, Any], ...] = (
    {
        "id": "function",
        "question": "Write a function double(x) that returns twice x.",
        "solution": "def double(x):\n    return 2 * x\n",
        "fn_name": "double",
        "tests": [{"input": [3], "output": 6}, {"input": [-1], "output": -2}],
        "difficulty": "introductory",
        "source": "mine",
    },
    {
        "id": "stdin",
        "question": "Read integers from stdin and print their sum.",
        "solution": "print(sum(map(int, input().split())))\n",
        "tests": [{"input": "1 2 3\n", "output": "6\n"}, {"input": "4\n", "output": "4\n"}],
    },
    {
        "id": "keywords",
        "question": "Write a function power(base, exponent=2).",
        "solution": "def power(base, exponent=2):\n    return base ** exponent\n",
        "fn_name": "power",
        "tests": [
            {"input": [3], "output": 9},
            {"input": [2], "kwargs": {"exponent": 5}, "output": 32},
        ],
    },
    {
        "id": "method",
        "question": "Complete the method longest, which returns the longest word.",
        "starter_code": "class Solution:\n    def longest(self, words: List[str]) -> str:\n",
        "preamble": "from typing import *\n",
        "solution": (
            "class Solution:\n    def longest(self, words: List[str]) -> str:\n"
            "        return max(words, key=len)\n"
        ),
        "fn_name": "longest",
        "tests": [{"input": [["a", "bcd", "ef"]], "output": "bcd"}],
    },
    {
        "id": "tuple",
        "question": "Write a function ends(xs) that returns a tuple of the first and last item.",
        "solution": "def ends(xs):\n    return xs[0], xs[-1]\n",
        "fn_name": "ends",
        "tests": [{"input": [[1, 2, 3]], "output": {"$tuple": [1, 3]}}],
        "comparison": "exact",
    },
    {
        "id": "any-order",
        "question": "Write a function divisors(n) that returns the divisors of n in any order.",
        "solution": "def divisors(n):\n    return [d for d in range(1, n + 1) if n % d == 0]\n",
        "fn_name": "divisors",
        "tests": [{"input": [6], "output": [6, 3, 2, 1]}],
        "comparison": "unordered",
    },
    {
        "id": "in-place",
        "question": "Write a function reverse(xs) that reverses the list xs in place.",
        "solution": "def reverse(xs):\n    xs.reverse()\n",
        "fn_name": "reverse",
        "tests": [{"input": [[1, 2, 3]], "output": [3, 2, 1]}],
        "result_argument": 0,
    },
    {
        "id": "checker",
        "question": "Read n and print two positive integers whose sum is n.",
        "solution": "n = int(input())\nprint(1, n - 1)\n",
        "tests": [{"input": "5\n", "output": "2 3\n"}],
        "checker": {
            "source": (
                "import sys\n\n"
                "given, _, printed = (open(path).read() for path in sys.argv[1:])\n"
                "a, b = map(int, printed.split())\n"
                'print("yes" if a > 0 and b > 0 and a + b == int(given) else "no")\n'
            )
        },
        "time_limit": 2.0,
    },
    {
        "id": "code",
        "question": "Write a function root(x) that returns the square root of x.",
        "solution": "def root(x):\n    return x ** 0.5\n",
        "fn_name": "root",
        "assertions": {
            "setup": "import math\n",
            "statements": [
                "assert math.isclose(root(2), 1.41421356, rel_tol=1e-6)",
                "assert root(9) == 3",
            ],
        },
    },
)
"""Records as they stand in a file."""


def template_lines() -> str:
    """The records as JSONL."""
    return "".join(f"{json.dumps(record)}\n" for record in TEMPLATE)

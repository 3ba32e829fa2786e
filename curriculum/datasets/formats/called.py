"""Data sets of functions tested by asserts: HumanEval, MBPP, and LeetCodeDataset.

A record whose asserts are not plain (see `formats.asserts`) is refused by name: a test that means
something else than its author wrote is worse than one problem fewer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from curriculum.datasets.formats.asserts import NotPlain, tests_of_asserts, tests_of_check
from curriculum.datasets.formats.record import Fields
from curriculum.datasets.problem_file import parse_problem
from curriculum.problem import Problem, Tier

HUMAN_EVAL_TIER: Tier = "interview"
MBPP_TIER: Tier = "introductory"
"""Neither of the two grades its problems; MBPP calls its own entry-level."""
LEETCODE_TIERS: dict[str, Tier] = {
    "easy": "introductory",
    "medium": "interview",
    "hard": "competition",
}

HUMAN_EVAL_KEYS = frozenset({"task_id", "prompt", "entry_point", "canonical_solution", "test"})
MBPP_KEYS = frozenset({"task_id", "text", "code", "test_list"})
LEETCODE_KEYS = frozenset({"task_id", "problem_description", "completion", "entry_point", "test"})


def human_eval_problem(path: Path, where: str, record: dict[str, Any]) -> Problem:
    """A HumanEval record: the prompt is starter code, the solution a body that follows it."""
    fields = Fields(path, where, record)
    starter = fields.code("prompt")
    fn_name = fields.text("entry_point")
    return parse_problem(
        {
            "id": fields.text("task_id"),
            "question": f"# Complete the function {fn_name}.",
            "starter_code": starter,
            "canonical_solution": starter + fields.code("canonical_solution"),
            "fn_name": fn_name,
            "tests": _read_tests(fields, "test", tests_of_check),
            "difficulty": HUMAN_EVAL_TIER,
            "source": "humaneval",
        },
        path,
        where,
    )


def mbpp_problem(path: Path, where: str, record: dict[str, Any]) -> Problem:
    """An MBPP record as published: asserts name the function, set-up code is the preamble."""
    fields = Fields(path, where, record)
    asserts = record.get("test_list")
    if not isinstance(asserts, list) or not all(isinstance(line, str) for line in asserts):
        raise fields.bad("test_list", "a list of asserts is wanted")
    fields.record = record | {"test_list": "\n".join(line.strip() for line in asserts)}
    fn_name, tests = _read_tests(fields, "test_list", tests_of_asserts)
    setup = fields.code("test_setup_code", "").strip()
    return parse_problem(
        {
            "id": f"mbpp/{record.get('task_id')}",
            "question": fields.text("text").strip(),
            "preamble": f"{setup}\n" if setup else "",
            "canonical_solution": fields.code("code"),
            "fn_name": fn_name,
            "tests": tests,
            "difficulty": MBPP_TIER,
            "source": "mbpp",
        },
        path,
        where,
    )


def leetcode_problem(path: Path, where: str, record: dict[str, Any]) -> Problem:
    """A LeetCodeDataset record: imports and helper classes (`prompt`) are the preamble.

    The entry point `Solution().name` is the method `name` of the class `Solution`.
    """
    fields = Fields(path, where, record)
    preamble = fields.code("prompt", "").strip()
    level = fields.text("difficulty").strip().lower()
    if level not in LEETCODE_TIERS:
        raise fields.bad("difficulty", f"{level!r} is none of {', '.join(LEETCODE_TIERS)}")
    return parse_problem(
        {
            "id": f"leetcode/{fields.text('task_id')}",
            "question": fields.text("problem_description").strip(),
            "starter_code": fields.code("starter_code", ""),
            "preamble": f"{preamble}\n\n" if preamble else "",
            "canonical_solution": fields.code("completion"),
            "fn_name": fields.text("entry_point").removeprefix("Solution()."),
            "tests": _read_tests(fields, "test", tests_of_check),
            "difficulty": LEETCODE_TIERS[level],
            "source": "leetcode",
        },
        path,
        where,
    )


def _read_tests(fields: Fields, name: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(fields.text(name))
    except (NotPlain, SyntaxError, RecursionError) as error:
        raise fields.bad(name, str(error)) from None

"""LeetCodeDataset: solutions in a class `Solution`, with imports and helper classes apart."""

from curriculum.datasets.formats.asserts import tests_of_check
from curriculum.datasets.formats.format import jsonl_format
from curriculum.datasets.formats.record import RecordReader
from curriculum.problem import Problem, Tier

LEVELS: dict[str, Tier] = {
    "easy": "introductory",
    "medium": "interview",
    "hard": "competition",
}


def leetcode_problem(record: RecordReader) -> Problem:
    """The `prompt` (imports and helper classes) is the preamble.

    The entry point `Solution().name` is the method `name` of the class `Solution`.
    """
    preamble = record.code("prompt", "").strip()
    return record.problem(
        id=f"leetcode/{record.text('task_id')}",
        question=record.text("problem_description").strip(),
        starter_code=record.code("starter_code", ""),
        preamble=f"{preamble}\n\n" if preamble else "",
        solution=record.code("completion"),
        fn_name=record.text("entry_point").removeprefix("Solution()."),
        tests=record.convert("test", tests_of_check),
        difficulty=record.tier("difficulty", LEVELS),
        source="leetcode",
    )


FORMAT = jsonl_format(
    name="leetcode",
    description="LeetCodeDataset's JSONL: imports and helper classes become the preamble",
    keys=("task_id", "problem_description", "completion", "entry_point", "test"),
    to_problem=leetcode_problem,
)

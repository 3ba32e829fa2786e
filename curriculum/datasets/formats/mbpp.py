"""MBPP as published: a sentence, a solution, and a list of asserts that name the function."""

from curriculum.datasets.formats.asserts import tests_of_asserts
from curriculum.datasets.formats.format import jsonl_format
from curriculum.datasets.formats.record import RecordReader
from curriculum.problem import Problem, Tier

TIER: Tier = "introductory"
"""MBPP does not grade its problems; its authors call them entry-level."""


def mbpp_problem(record: RecordReader) -> Problem:
    """The asserts name the function; the set-up code is the preamble."""
    asserts = "\n".join(line.strip() for line in record.texts("test_list"))
    fn_name, tests = record.convert("test_list", tests_of_asserts, asserts)
    setup = record.code("test_setup_code", "").strip()
    return record.problem(
        id=f"mbpp/{record.get('task_id')}",
        question=record.text("text").strip(),
        preamble=f"{setup}\n" if setup else "",
        solution=record.code("code"),
        fn_name=fn_name,
        tests=tests,
        difficulty=TIER,
        source="mbpp",
    )


FORMAT = jsonl_format(
    name="mbpp",
    description="MBPP's JSONL: set-up code becomes the preamble",
    keys=("task_id", "text", "code", "test_list"),
    to_problem=mbpp_problem,
)

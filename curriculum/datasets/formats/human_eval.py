"""HumanEval: a signature with docstring as prompt, a body as solution, asserts in `check`."""

from curriculum.datasets.formats.asserts import tests_of_check
from curriculum.datasets.formats.format import jsonl_format
from curriculum.datasets.formats.record import RecordReader
from curriculum.problem import Problem, Tier

TIER: Tier = "interview"
"""HumanEval does not grade its problems."""


def human_eval_problem(record: RecordReader) -> Problem:
    """The prompt is starter code, and the solution is the prompt with the body behind it."""
    prompt = record.code("prompt")
    fn_name = record.text("entry_point")
    return record.problem(
        id=record.text("task_id"),
        question=f"# Complete the function {fn_name}.",
        starter_code=prompt,
        solution=prompt + record.code("canonical_solution"),
        fn_name=fn_name,
        tests=record.convert("test", tests_of_check),
        difficulty=TIER,
        source="humaneval",
    )


FORMAT = jsonl_format(
    name="human_eval",
    description="HumanEval's JSONL: the prompt becomes starter code",
    keys=("task_id", "prompt", "entry_point", "canonical_solution", "test"),
    to_problem=human_eval_problem,
)

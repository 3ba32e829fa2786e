"""HumanEval and HumanEval+: a signature with docstring as prompt, a body, and a `check`."""

import ast

from curriculum.datasets.reading.asserts import tests_of_check
from curriculum.datasets.reading.format import Format
from curriculum.datasets.reading.record import RecordReader
from curriculum.problem import Problem, Tier
from curriculum.syntax import UNPARSABLE, parse

TIER: Tier = "interview"
"""HumanEval does not grade its problems."""


def human_eval_problem(record: RecordReader) -> Problem:
    """The prompt is starter code, and the solution is the prompt with the body behind it.

    What stands in the prompt before the function (imports, helpers that the tests use) is the
    preamble too: an answer that gives the function alone runs behind it, as it would behind the
    prompt.
    """
    if "plus_input" in record.fields and "test" not in record.fields:
        raise record.error(
            "test", "EvalPlus's own release has inputs without results; take its files on the hub"
        )
    prompt = record.code("prompt")
    fn_name = record.text("entry_point")
    solution = record.python("canonical_solution", prompt + record.code("canonical_solution"))
    tests = record.convert("test", lambda text: tests_of_check(text, fn_name))
    return record.problem(
        id=record.text("task_id"),
        question=f"# Complete the function {fn_name}.",
        starter_code=prompt,
        preamble=_before_function(prompt, fn_name),
        solution=solution,
        fn_name=fn_name,
        **tests.fields(),
        difficulty=TIER,
        source="humaneval",
    )


def _before_function(prompt: str, fn_name: str) -> str:
    """The whole lines of a prompt before the function that it asks for."""
    try:
        body = parse(f"{prompt}\n    pass\n").body
    except UNPARSABLE:
        return ""
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == fn_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            lines = "".join(prompt.splitlines(keepends=True)[: first - 1]).strip()
            return f"{lines}\n" if lines else ""
    return ""


FORMAT = Format(
    name="human_eval",
    description="HumanEval, and HumanEval+ as EvalPlus publishes it on the hub",
    keys=("task_id", "prompt", "entry_point", "canonical_solution", ("test", "plus_input")),
    more_keys=frozenset({"base_input", "plus_input", "contract", "atol"}),
    to_problem=human_eval_problem,
)

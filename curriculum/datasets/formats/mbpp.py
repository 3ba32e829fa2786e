"""MBPP in its published forms: a sentence, a solution, and asserts that name the function.

| form | question | set-up | tests |
|---|---|---|---|
| full | `text` | `test_setup_code` | `test_list` |
| sanitized | `prompt` | `test_imports` | `test_list` |
| MBPP+ of EvalPlus | `prompt` | `test_imports` | `test`, code with many inputs |
"""

import ast

from curriculum.datasets.reading.asserts import CodeTests, called_function, tests_of_asserts
from curriculum.datasets.reading.format import Format
from curriculum.datasets.reading.record import RecordReader
from curriculum.problem import Assertions, Problem, Tier
from curriculum.syntax import parse

TIER: Tier = "introductory"
"""MBPP does not grade its problems; its authors call them entry-level."""


def mbpp_problem(record: RecordReader) -> Problem:
    """The asserts name the function.

    Imports of the set-up code are the preamble, and so is all of it where the tests are calls. What
    else there is runs before tests that are code, behind the solution: it may use its classes.
    """
    texts = [text.strip() for text in record.texts("test_list")]
    solution = record.python("code", record.code("code"))
    setup = record.code("test_setup_code", "").strip()
    imports = record.convert("test_setup_code", _is_imports, text=setup)
    fn_name, tests = record.convert(
        "test_list",
        lambda _: tests_of_asserts(texts, solution, setup="" if imports else setup),
        text="",
    )
    name = "mbpp"
    if record.get("test"):
        name = "mbppplus"
        tests = record.convert("test", lambda text: _plus_tests(text, solution))
    lines = [setup] if imports or tests.assertions is None else []
    if record.get("test_imports"):
        lines += record.texts("test_imports")
    preamble = "".join(f"{line.strip()}\n" for line in lines if line.strip())
    return record.problem(
        id=f"{name}/{record.get('task_id')}",
        question=record.text("text" if "text" in record.fields else "prompt").strip(),
        preamble=preamble,
        solution=solution,
        fn_name=fn_name,
        **tests.fields(),
        difficulty=TIER,
        source=name,
    )


def _is_imports(source: str) -> bool:
    return all(isinstance(node, ast.Import | ast.ImportFrom) for node in parse(source).body)


def _plus_tests(source: str, solution: str) -> CodeTests:
    """EvalPlus's code: everything before the last statement is set-up, the last goes through the
    inputs."""
    body = parse(source).body
    called_function([body], solution)
    setup, last = body[:-1], body[-1]
    return CodeTests(
        assertions=Assertions(
            setup=ast.unparse(ast.Module(body=setup, type_ignores=[])),
            statements=(ast.unparse(last),),
        )
    )


FORMAT = Format(
    name="mbpp",
    description="MBPP: full, sanitized, or MBPP+ as EvalPlus publishes it on the hub",
    keys=("task_id", ("text", "prompt"), "code", "test_list"),
    more_keys=frozenset(
        {"test_setup_code", "challenge_test_list", "test_imports", "source_file", "test"}
    ),
    to_problem=mbpp_problem,
)

"""LeetCodeDataset: solutions in a class `Solution`, with imports and helper classes apart.

What a test compares decides how it is read:

| test | read as |
|---|---|
| `candidate(...) == value`, plain values | a call, compared by `==` |
| the same of a method that returns None | a call; the argument that it changes is compared |
| with `list_node`, `tree_node` and other helpers | code; each assert is one test |
"""

import ast
import re
from typing import Any

from curriculum.datasets.reading.asserts import CodeTests, asserts_of_check, tests_of_check
from curriculum.datasets.reading.format import Format
from curriculum.datasets.reading.record import RecordReader
from curriculum.errors import CurriculumError
from curriculum.problem import Assertions, Problem, Test, Tier, function_name
from curriculum.syntax import parse

LEVELS: dict[str, Tier] = {
    "easy": "introductory",
    "medium": "interview",
    "hard": "competition",
}
_IN_PLACE = re.compile(r"(?i)modify\s+`?(\w+)`?\s+in[- ]place")


def leetcode_problem(record: RecordReader) -> Problem:
    """The `prompt` (imports and helper classes) is the preamble."""
    preamble = record.code("prompt", "").strip()
    fn_name = record.convert("entry_point", function_name)
    starter = record.code("starter_code", "")
    solution = record.python("completion", record.code("completion"))
    question = record.text("problem_description").strip()
    changed = record.convert(
        "completion", lambda _: _changed_argument(solution, fn_name, f"{starter}\n{question}")
    )
    return record.problem(
        id=f"leetcode/{record.text('task_id')}",
        question=question,
        starter_code=starter,
        preamble=f"{preamble}\n\n" if preamble else "",
        solution=solution,
        fn_name=fn_name,
        **record.convert("test", lambda text: _tests(text, fn_name, changed)),
        difficulty=record.tier("difficulty", LEVELS),
        source="leetcode",
    )


def _tests(source: str, fn_name: str, changed: tuple[list[str], int] | None) -> dict[str, Any]:
    """The fields of `Problem` that hold the tests of a method.

    Args:
        source: defines `check`.
        fn_name: the method.
        changed: of a method that returns nothing its parameters, and which of them it changes.
    """
    entry_point = f"Solution().{fn_name}"
    found = tests_of_check(source, entry_point)
    if found.tests:
        returned = any(test.output is not None for test in found.tests)
        if changed is None or not returned:
            return found.fields()
        names, position = changed
        tests = tuple(_positional(test, names) for test in found.tests)
        return {"tests": tests, "comparison": "exact", "result_argument": position}
    asserts = asserts_of_check(source)
    if asserts is None and changed is None:
        return found.fields()
    body = [] if changed is None else [_changing_candidate(entry_point, *changed)]
    if asserts is None:
        setup = "\n\n".join([source, *body])
        return {"assertions": Assertions(setup=setup, statements=("check(candidate)",))}
    parameter, statements = asserts
    others = [
        ast.unparse(node)
        for node in parse(source).body
        if not (isinstance(node, ast.FunctionDef) and node.name == "check")
    ]
    called = "candidate" if body else entry_point
    rename = _Renaming(parameter, ast.parse(called, mode="eval").body)
    return CodeTests(
        assertions=Assertions(
            setup="\n".join([*others, *body]),
            statements=tuple(ast.unparse(rename.visit(statement)) for statement in statements),
        )
    ).fields()


class _Renaming(ast.NodeTransformer):
    """Replaces a name by an expression."""

    def __init__(self, name: str, by: ast.expr):
        self._name, self._by = name, by

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """One name."""
        return self._by if node.id == self._name else node


def _changing_candidate(entry_point: str, names: list[str], position: int) -> str:
    """A function with the method's parameters that returns the argument that the method changes."""
    parameters = ", ".join(names)
    return (
        f"def candidate({parameters}):\n    {entry_point}({parameters})\n"
        f"    return {names[position]}\n"
    )


def _positional(test: Test, names: list[str]) -> Test:
    """A test with its keyword arguments in their positions."""
    arguments = dict(zip(names, test.input, strict=False)) | test.kwargs
    if list(arguments) != names[: len(arguments)] and set(arguments) != set(names):
        raise CurriculumError(f"its arguments are not those of the method: {', '.join(names)}")
    return Test(input=[arguments[name] for name in names if name in arguments], output=test.output)


def _changed_argument(solution: str, fn_name: str, text: str) -> tuple[list[str], int] | None:
    """The parameters of a method that returns nothing and which it changes; None for others.

    A text such as "modify nums in-place" names the parameter; otherwise it is the first.
    """
    method = next(
        (
            node
            for outer in parse(solution).body
            if isinstance(outer, ast.ClassDef) and outer.name == "Solution"
            for node in outer.body
            if isinstance(node, ast.FunctionDef) and node.name == fn_name
        ),
        None,
    )
    if method is None or _returns_a_value(method):
        return None
    names = [argument.arg for argument in method.args.args[1:]]
    if not names:
        return None
    named = [match[1] for match in _IN_PLACE.finditer(text) if match[1] in names]
    return names, names.index(named[0]) if named else 0


def _returns_a_value(function: ast.FunctionDef) -> bool:
    stack: list[ast.AST] = [*function.body]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if isinstance(node, ast.Return) and node.value is not None:
            constant = isinstance(node.value, ast.Constant) and node.value.value is None
            if not constant and not _calls_only(node.value, function):
                return True
        stack += ast.iter_child_nodes(node)
    return False


def _calls_only(value: ast.expr, function: ast.FunctionDef) -> bool:
    """Whether a returned value is what a method annotated `-> None` returns to itself."""
    annotated = isinstance(function.returns, ast.Constant) and function.returns.value is None
    return annotated and isinstance(value, ast.Call)


FORMAT = Format(
    name="leetcode",
    description="LeetCodeDataset: imports and helper classes become the preamble",
    keys=("task_id", "problem_description", "completion", "entry_point", "test"),
    more_keys=frozenset(
        {"question_id", "tags", "prompt", "starter_code", "difficulty", "input_output", "query"}
    ),
    to_problem=leetcode_problem,
)

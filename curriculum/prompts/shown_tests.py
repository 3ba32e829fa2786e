r"""Tests as a prompt shows them: asserts that call the function."""

import ast
import builtins
import re
from collections.abc import Iterator
from typing import Any

from curriculum.problem import Problem, Test
from curriculum.prompts.signature import Signature
from curriculum.syntax import UNPARSABLE, parse

LONGEST_SHOWN = 600
"""Longest test that is shown [characters]; a longer one is passed over for the next."""

_BUILTINS = frozenset(dir(builtins))
_SHOWS_EXAMPLE = re.compile(
    r"^[^\w\n]*(?:for )?(?:examples?|sample)\b[^\n]{0,20}?(?::|[^\w\n]*$)"  # a heading
    r"|^[^\w\n]*(?:sample )?input\s*\d*\s*:[^\w\n]*(?:\w+\s*=|[\[({\"'\d-])"  # values behind it
    r"|^[ \t]*>>>|^[^\w\n]*assert\s",
    re.IGNORECASE | re.MULTILINE,
)
_RESULT = r"(?:=+>|-+>|==|=|➞|→|⇒|returns?\b|should\b|gives\b|evaluates\b|is\b)"
"""What stands between a call and its result."""


def shows_test(text: str, name: str) -> bool:
    """Whether a question shows a test: an assert, a doctest, a call with its result, an example."""
    if _SHOWS_EXAMPLE.search(text):
        return True
    call = rf"(?<!\w)(?<!def ){re.escape(name)}\s*\([^\n]{{0,300}}?\)"
    return re.search(rf"{call}[`'\"*\s]*{_RESULT}", text) is not None


def shown_tests(problem: Problem, signature: Signature, limit: int) -> list[str]:
    """The first tests, at most `limit`, that can be written as an assert of readable length.

    Tests that are code are shown as they are, where they are asserts that speak of the function
    alone.
    """
    of = _of_assertions if problem.assertions else _of_tests
    written = of(problem, signature)
    shown: list[str] = []
    while len(shown) < limit and (text := next(written, None)) is not None:
        shown.append(text)
    return shown


def _of_tests(problem: Problem, signature: Signature) -> Iterator[str]:
    outputs: list[Any] = [test.output for test in problem.tests]
    wrapped = problem.comparison == "apps" and all(
        type(output) is list and len(output) == 1 for output in outputs
    )
    for test, output in zip(problem.tests, outputs, strict=True):
        expected = output[0] if wrapped else output
        if (text := _assert_of(problem, signature, test, expected)) is not None:
            yield text


def _assert_of(problem: Problem, signature: Signature, test: Test, output: object) -> str | None:
    """One call as an assert; None where it is too long or a value cannot be written as Python."""
    arguments = [_literal(value) for value in test.input]
    named = {key: _literal(value) for key, value in test.kwargs.items()}
    expected = _literal(output)
    if expected is None or None in arguments or None in named.values():
        return None
    before, result = "", ""
    position = problem.result_argument
    if position is not None and position < len(arguments):
        names = signature.names
        changed = names[position] if position < len(names) else "argument"
        before = f"{changed} = {arguments[position]}\n"
        arguments[position] = result = changed
    passed = [str(text) for text in arguments]
    passed += [f"{key}={text}" for key, text in named.items()]
    function = f"Solution().{signature.name}" if signature.method else signature.name
    call = f"{function}({', '.join(passed)})"
    text = f"{before}{call}\nassert {result} == {expected}"
    if not before:
        text = f"assert {call} == {expected}"
    return text if len(text) <= LONGEST_SHOWN else None


def _literal(value: object) -> str | None:
    """A value as Python that gives it back; None where there is none, as for infinity."""
    try:
        text = repr(value)
        if len(text) > LONGEST_SHOWN:
            return None
        ast.literal_eval(text)
    except UNPARSABLE:  # an integer of more than 4,300 digits has no repr
        return None
    return text


def _of_assertions(problem: Problem, signature: Signature) -> Iterator[str]:
    """The asserts of tests that are code, in order, with the function's own name in them.

    A statement that is an assert is shown whatever else it speaks of: it is how its data set asks.
    One within a function, as in HumanEval's `check`, must need nothing but the tested function.
    """
    assert problem.assertions is not None
    for source in (*problem.assertions.statements, problem.assertions.setup):
        try:
            tree = parse(source)
        except UNPARSABLE:
            continue
        for node in tree.body:
            tested, body = "", [node]
            if isinstance(node, ast.FunctionDef):
                parameters = node.args.posonlyargs + node.args.args
                tested = parameters[0].arg if node.name == "check" and parameters else ""
                body = node.body
            for statement in body:
                text = _own_assert(statement, tested, signature, alone=statement is not node)
                if text is not None:
                    yield text


def _own_assert(node: ast.stmt, tested: str, signature: Signature, alone: bool) -> str | None:
    """An assert about the function, without its message; None for anything else.

    Args:
        node: a statement of the tests.
        tested: the name that stands for the function, the parameter of `check`; may be empty.
        signature: the function's.
        alone: whether it must need nothing but the function.
    """
    if not isinstance(node, ast.Assert):
        return None
    names = [part for part in ast.walk(node.test) if isinstance(part, ast.Name)]
    attributes = [part.attr for part in ast.walk(node.test) if isinstance(part, ast.Attribute)]
    called = {tested, signature.name} & {*(name.id for name in names), *attributes}
    needed = {name.id for name in names} - {tested, signature.name, "Solution"}
    if not called or (alone and not needed <= _BUILTINS):
        return None
    for name in names:
        if tested and name.id == tested:
            name.id = f"Solution().{signature.name}" if signature.method else signature.name
    try:
        text = ast.unparse(ast.Assert(node.test))
    except RecursionError:
        return None
    return text if len(text) <= LONGEST_SHOWN else None

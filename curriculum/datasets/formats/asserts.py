"""Tests written as asserts, read as calls with an expected value, without running anything.

| assert | expected |
|---|---|
| `f(args) == value`, `f(args) is None` | the value |
| `f(args)`, `not f(args)` | exactly True, exactly False |
| `abs(f(args) - value) < e`, e at least 1e-6 | the value as a float (compared to 1e-6) |

Arguments and values are literals, `tuple(...)` or `set(...)` of one, sums of text, or arithmetic of
numbers.
`assert True` and docstrings say nothing and are passed over. All else is named, not guessed at.
"""

import ast
import operator
from collections.abc import Sequence
from typing import Any

from curriculum.problem import Test
from curriculum.syntax import parse

TOLERANCE = 1e-6
"""The tolerance with which floats are compared when a program is judged."""
_CONVERSIONS = {"tuple": tuple, "list": list, "set": set, "frozenset": frozenset, "float": float}
_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_KEPT = (bool, int, float, str, list, tuple, dict, set, frozenset, type(None))


class NotPlain(ValueError):
    """An assert, or another statement among them, that cannot be read as a call with a value."""

    def __init__(self, statement: ast.AST, reason: str):
        text = " ".join(ast.unparse(statement).split())
        super().__init__(f"{reason}: {text if len(text) <= 100 else text[:100] + '...'}")


def tests_of_asserts(source: str) -> tuple[str, tuple[Test, ...]]:
    """The one function that asserts of a module call, and its tests.

    Raises `NotPlain` for anything else among them, `SyntaxError` for what is no Python.
    """
    body = parse(source).body
    calls = [_call_test(statement) for statement in body if not _says_nothing(statement)]
    names = {name for name, _ in calls}
    if len(names) != 1:
        tree = ast.Module(body=body, type_ignores=[])
        raise NotPlain(tree, f"{len(names)} functions are called, not one")
    return names.pop(), tuple(test for _, test in calls)


def tests_of_check(source: str) -> tuple[Test, ...]:
    """The tests in the body of a `def check(candidate)`, in HumanEval's style.

    Raises `NotPlain` for a check that does anything else, `SyntaxError` for what is no Python.
    """
    tree = parse(source)
    checks = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "check"]
    if len(checks) != 1 or len(checks[0].args.args) != 1:
        raise NotPlain(tree, "one `def check(candidate)` is wanted")
    candidate = checks[0].args.args[0].arg
    tests: list[Test] = []
    for statement in checks[0].body:
        if _says_nothing(statement):
            continue
        name, test = _call_test(statement)
        if name != candidate:
            raise NotPlain(statement, f"not a call of {candidate}")
        tests.append(test)
    return tuple(tests)


def constant(node: ast.expr) -> Any:
    """The value of a literal, of a conversion or sum of literals; raises `NotPlain` otherwise."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in _CONVERSIONS:
            convert = _CONVERSIONS[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            sides = [constant(left), constant(right)]
            if all(isinstance(side, int | float) for side in sides):
                return _calculated(node, op, sides)
            if isinstance(op, ast.Add) and all(isinstance(side, str) for side in sides):
                return "".join(sides)
            raise NotPlain(node, "no plain value")
        case ast.Tuple(elts=elements):
            return tuple(map(constant, elements))
        case ast.List(elts=elements):
            return list(map(constant, elements))
        case _:
            return _literal(node)
    try:
        return convert(constant(inner))
    except (TypeError, ValueError):
        raise NotPlain(node, "no plain value") from None


def _calculated(node: ast.expr, op: ast.operator, sides: list[Any]) -> int | float:
    try:
        return _ARITHMETIC[type(op)](*sides)
    except ArithmeticError:
        raise NotPlain(node, "no plain value") from None


def _literal(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise NotPlain(node, "no plain value") from None
    if not isinstance(value, _KEPT):
        raise NotPlain(node, f"a value of type {type(value).__name__}")
    return value


def _says_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assert(test=ast.Constant(value=True)) | ast.Pass():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
    return False


def _call_test(statement: ast.stmt) -> tuple[str, Test]:
    if not isinstance(statement, ast.Assert):
        raise NotPlain(statement, "not an assert")
    match statement.test:
        case ast.Call(func=ast.Name(id=name)) as call if name not in ("abs", "all", "any"):
            expected: Any = True
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call(func=ast.Name(id=name)) as call):
            expected = False
        case ast.Compare(
            left=ast.Call(func=ast.Name(id="abs"), args=[difference]),
            ops=[ast.Lt() | ast.LtE()],
            comparators=[margin],
        ):
            call, expected = _near(statement, difference, margin)
        case ast.Compare(left=ast.Call() as call, ops=[ast.Eq()], comparators=[value]):
            expected = constant(value)
        case ast.Compare(
            left=ast.Call() as call, ops=[ast.Is()], comparators=[ast.Constant(value=expected)]
        ):
            pass
        case _:
            raise NotPlain(statement, "not plain equality")
    return _test(statement, call, expected)


def _near(statement: ast.stmt, difference: ast.expr, margin: ast.expr) -> tuple[ast.Call, float]:
    match difference:
        case ast.BinOp(left=ast.Call() as call, op=ast.Sub(), right=right):
            value = constant(right)
            if isinstance(value, int | float) and constant(margin) >= TOLERANCE:
                return call, float(value)
    raise NotPlain(statement, "not plain equality")


def _test(statement: ast.stmt, call: ast.Call, expected: Any) -> tuple[str, Test]:
    if not isinstance(call.func, ast.Name):
        raise NotPlain(statement, "not a call of a function by its name")
    keywords: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise NotPlain(statement, "arguments from a dict")
        keywords[keyword.arg] = constant(keyword.value)
    return call.func.id, Test(input=_all(call.args), kwargs=keywords, output=expected)


def _all(nodes: Sequence[ast.expr]) -> list[Any]:
    return [constant(node) for node in nodes]

"""Tests written as asserts, read as calls with an expected value, without running anything.

| assert | expected value |
|---|---|
| `f(args) == value`, `f(args) is None` | the value |
| `f(args)`, `not f(args)` | exactly True, exactly False |
| `abs(f(args) - value) < e`, e at least 1e-6 | the value as a float (compared to 1e-6) |

Arguments and values are literals, `tuple(...)`, `set(...)` and the like of one, sums of texts, or
arithmetic of numbers. `assert True` and docstrings are ignored. Everything else is refused: a test
that means something else than its author wrote is worse than one problem fewer.
"""

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

from curriculum.errors import CurriculumError
from curriculum.problem import Test
from curriculum.syntax import parse

TOLERANCE = 1e-6
"""The tolerance with which floats are compared when a program is judged."""
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "list": list,
    "set": set,
    "frozenset": frozenset,
    "float": float,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,
}
_VALUE_TYPES = (bool, int, float, str, list, tuple, dict, set, frozenset, type(None))


class UnsupportedAssert(CurriculumError):
    """A statement among the asserts that cannot be read as a call with an expected value."""

    def __init__(self, statement: ast.AST, reason: str):
        text = " ".join(ast.unparse(statement).split())
        super().__init__(f"{reason}: {text if len(text) <= 100 else text[:100] + '...'}")


def tests_of_asserts(source: str) -> tuple[str, tuple[Test, ...]]:
    """The one function that a module's asserts call, and its tests.

    Raises:
        UnsupportedAssert: another statement, or several functions are called.
        SyntaxError: the source is not Python (more exactly, one of `UNPARSABLE`).
    """
    body = parse(source).body
    calls = [_call_test(statement) for statement in body if not _is_ignored(statement)]
    names = {name for name, _ in calls}
    if len(names) != 1:
        tree = ast.Module(body=body, type_ignores=[])
        raise UnsupportedAssert(tree, f"{len(names)} functions are called, not one")
    return names.pop(), tuple(test for _, test in calls)


def tests_of_check(source: str) -> tuple[Test, ...]:
    """The tests in the body of a `def check(candidate)`, in HumanEval's style.

    Raises:
        UnsupportedAssert: the body does anything else.
        SyntaxError: the source is not Python (more exactly, one of `UNPARSABLE`).
    """
    tree = parse(source)
    checks = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "check"]
    if len(checks) != 1 or len(checks[0].args.args) != 1:
        raise UnsupportedAssert(tree, "exactly one `def check(candidate)` is expected")
    candidate = checks[0].args.args[0].arg
    tests: list[Test] = []
    for statement in checks[0].body:
        if _is_ignored(statement):
            continue
        name, test = _call_test(statement)
        if name != candidate:
            raise UnsupportedAssert(statement, f"not a call of {candidate}")
        tests.append(test)
    return tuple(tests)


def constant(node: ast.expr) -> Any:
    """The value of a literal, or of a conversion, sum or arithmetic of literals.

    Raises:
        UnsupportedAssert: anything else.
    """
    match node:
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in _CONVERSIONS:
            try:
                return _CONVERSIONS[name](constant(inner))
            except (TypeError, ValueError):
                raise UnsupportedAssert(node, "not a plain value") from None
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _combined(node, op, constant(left), constant(right))
        case ast.Tuple(elts=elements):
            return tuple(map(constant, elements))
        case ast.List(elts=elements):
            return list(map(constant, elements))
        case _:
            return _literal(node)


def _combined(node: ast.expr, op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(left, int | float) and isinstance(right, int | float):
        try:
            return _ARITHMETIC[type(op)](left, right)
        except ArithmeticError:
            pass
    elif isinstance(op, ast.Add) and isinstance(left, str) and isinstance(right, str):
        return left + right
    raise UnsupportedAssert(node, "not a plain value")


def _literal(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise UnsupportedAssert(node, "not a plain value") from None
    if not isinstance(value, _VALUE_TYPES):
        raise UnsupportedAssert(node, f"a value of type {type(value).__name__}")
    return cast(Any, value)


def _is_ignored(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assert(test=ast.Constant(value=True)) | ast.Pass():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case _:
            return False


def _call_test(statement: ast.stmt) -> tuple[str, Test]:
    """The name of the function that an assert calls, and its test."""
    if not isinstance(statement, ast.Assert):
        raise UnsupportedAssert(statement, "not an assert")
    expected: Any
    match statement.test:
        case ast.Call(func=ast.Name(id=name)) as call if name not in ("abs", "all", "any"):
            expected = True
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call(func=ast.Name()) as call):
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
            raise UnsupportedAssert(statement, "not plain equality")
    return _test(statement, call, expected)


def _near(statement: ast.stmt, difference: ast.expr, margin: ast.expr) -> tuple[ast.Call, float]:
    """The call and the value of `abs(call - value) < margin`."""
    match difference:
        case ast.BinOp(left=ast.Call() as call, op=ast.Sub(), right=right):
            value, tolerance = constant(right), constant(margin)
            numbers = isinstance(value, int | float) and isinstance(tolerance, int | float)
            if numbers and tolerance >= TOLERANCE:
                return call, float(value)
        case _:
            pass
    raise UnsupportedAssert(statement, "not plain equality")


def _test(statement: ast.stmt, call: ast.Call, expected: Any) -> tuple[str, Test]:
    if not isinstance(call.func, ast.Name):
        raise UnsupportedAssert(statement, "not a call of a function by its name")
    keywords: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise UnsupportedAssert(statement, "arguments from a dict")
        keywords[keyword.arg] = constant(keyword.value)
    return call.func.id, Test(input=_constants(call.args), kwargs=keywords, output=expected)


def _constants(nodes: Sequence[ast.expr]) -> list[Any]:
    return [constant(node) for node in nodes]

"""Tests written as asserts: calls with an expected value where they are plain, else code.

`assert f(arguments) == value` with plain arguments and a plain value means the same as a call whose
result is compared by `==`, and the expected value of such a test never enters the container. Any
other statement (`assert f(x)`, `abs(...) < e`, loops, helpers) stays code, so that it means what
its author wrote.

Plain values are literals, `tuple(...)`, `set(...)` and the like of one, sums of texts, and
arithmetic of numbers. `assert True` and docstrings are ignored.
"""

import ast
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from curriculum.errors import CurriculumError
from curriculum.problem import Assertions, Comparison, Test
from curriculum.syntax import parse

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
MAX_DIGITS = 4000
"""Longer integers have no JSON form: Python refuses to read them."""


class UnsupportedAssert(CurriculumError):
    """A statement among the tests that is no test of the solution."""

    def __init__(self, statement: ast.AST, reason: str):
        text = " ".join(ast.unparse(statement).split())
        super().__init__(f"{reason}: {text if len(text) <= 100 else text[:100] + '...'}")


class CodeTests(NamedTuple):
    """The tests of a problem, in one of two forms."""

    tests: tuple[Test, ...] = ()
    assertions: Assertions | None = None
    comparison: Comparison = "exact"

    def fields(self) -> dict[str, Any]:
        """The fields of `Problem`."""
        return self._asdict()


def tests_of_asserts(statements: Sequence[str], solution: str, setup: str) -> tuple[str, CodeTests]:
    """The function that a list of asserts calls, and the tests: calls, or the statements as code.

    Args:
        statements: each is one test.
        solution: the program that they test; it may define several functions.
        setup: what the statements need beside the program, if they stay code.

    Raises:
        UnsupportedAssert: a statement checks nothing, or none calls the solution.
        SyntaxError: a statement is not Python (more exactly, one of `UNPARSABLE`).
    """
    bodies = [parse(text).body for text in statements]
    if not any(bodies):
        raise CurriculumError("no test in it")
    calls: list[tuple[str, Test]] = []
    try:
        for body in bodies:
            calls += [_plain_test(node) for node in body if not _is_ignored(node)]
    except UnsupportedAssert:
        calls = []
    names = {name for name, _ in calls}
    if len(names) == 1:
        return names.pop(), CodeTests(tuple(test for _, test in calls))
    for body in bodies:
        require_checks(ast.Module(body=body, type_ignores=[]))
    return called_function(bodies, solution), CodeTests(
        assertions=Assertions(statements=tuple(statements), setup=setup)
    )


def called_function(bodies: Iterable[Sequence[ast.stmt]], solution: str) -> str:
    """The function of the solution that the most of the tests call; the last defined of several.

    Raises:
        UnsupportedAssert: none is called.
    """
    defined = [
        node.name
        for node in parse(solution).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    counts = dict.fromkeys(defined, 0)
    nodes: list[ast.stmt] = []
    for body in bodies:
        nodes += body
        names = {n.id for statement in body for n in ast.walk(statement) if isinstance(n, ast.Name)}
        for name in names & counts.keys():
            counts[name] += 1
    most = max(counts.values(), default=0)
    if not most:
        tree = ast.Module(body=nodes, type_ignores=[])
        raise UnsupportedAssert(tree, "calls no function of the solution")
    return [name for name in counts if counts[name] == most][-1]


def tests_of_check(source: str, entry_point: str) -> CodeTests:
    """The tests in a `def check(candidate)`, in HumanEval's style.

    Calls where its body is plain asserts; statements where it is asserts that need what stands
    around them; otherwise the call of `check` as one test.

    Args:
        source: defines `check`.
        entry_point: what is given to `check`: a name, or `Solution().name`.

    Raises:
        UnsupportedAssert: there is no `check`, or it checks nothing.
        SyntaxError: the source is not Python (more exactly, one of `UNPARSABLE`).
    """
    tree = parse(source)
    checks = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "check"]
    if len(checks) != 1 or len(checks[0].args.args) != 1:
        raise UnsupportedAssert(tree, "exactly one `def check(candidate)` is expected")
    check, candidate = checks[0], checks[0].args.args[0].arg
    body = [statement for statement in check.body if not _is_ignored(statement)]
    try:
        calls = [_plain_test(statement) for statement in body]
        if calls and {name for name, _ in calls} == {candidate}:
            return CodeTests(tuple(test for _, test in calls))
    except UnsupportedAssert:
        pass
    require_checks(tree)
    if not any(isinstance(n, ast.Name) and n.id == candidate for n in ast.walk(check)):
        raise UnsupportedAssert(check, f"does not call {candidate}")
    return CodeTests(assertions=Assertions.of_check(source, entry_point))


def asserts_of_check(source: str) -> tuple[str, list[ast.Assert]] | None:
    """The parameter and the asserts of a `check` whose body is nothing else; None for any other."""
    [check] = [
        n for n in parse(source).body if isinstance(n, ast.FunctionDef) and n.name == "check"
    ]
    body = [statement for statement in check.body if not _is_ignored(statement)]
    asserts = [statement for statement in body if isinstance(statement, ast.Assert)]
    return (check.args.args[0].arg, asserts) if len(asserts) == len(body) else None


def require_checks(tree: ast.Module) -> None:
    """Refuse tests that no program can fail.

    Raises:
        UnsupportedAssert: there is neither an assert nor a `raise`, nor a call of a check.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert | ast.Raise) and not _is_ignored(node):
            return
        if isinstance(node, ast.withitem | ast.Call) and "assert" in ast.unparse(node):
            return
    raise UnsupportedAssert(tree, "asserts nothing")


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
    if isinstance(value, int) and abs(value).bit_length() > 3 * MAX_DIGITS:
        raise UnsupportedAssert(ast.Constant(value=0), "an integer with too many digits")
    return cast(Any, value)


def _is_ignored(statement: ast.AST) -> bool:
    match statement:
        case ast.Assert(test=ast.Constant(value=True)) | ast.Pass():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case _:
            return False


def _plain_test(statement: ast.stmt) -> tuple[str, Test]:
    """The name of the function that `assert f(arguments) == value` calls, and its test."""
    match statement:
        case ast.Assert(
            test=ast.Compare(
                left=ast.Call(func=ast.Name(id=name)) as call, ops=[ast.Eq()], comparators=[value]
            )
        ):
            keywords = {word.arg: constant(word.value) for word in call.keywords if word.arg}
            if len(keywords) < len(call.keywords):
                raise UnsupportedAssert(statement, "arguments from a dict")
            arguments = [constant(argument) for argument in call.args]
            return name, Test(input=arguments, kwargs=keywords, output=constant(value))
        case _:
            raise UnsupportedAssert(statement, "not plain equality")

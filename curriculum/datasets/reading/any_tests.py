"""Tests in any of the shapes in which they are found, for data sets without a form of their own.

| value | read as |
|---|---|
| a list of objects with `input`, `output` (or `expected_output`, `expected`), `kwargs` | tests |
| the same with `fn_name`, or `testtype` and `metadata.func_name`, in each | calls of the function |
| an object with the lists `inputs` and `outputs` (or `input`, `output`), `fn_name` | tests |
| a list of asserts, or a text of asserts | calls where they are plain, else code |
| a text with `def check(candidate)` | the same |
| a text in pytest's style | code |

Lists and objects may be packed as JSON text.
"""

import ast
from collections.abc import Callable
from typing import Any, cast

from curriculum.datasets.json_values import from_json
from curriculum.datasets.reading.asserts import (
    CodeTests,
    called_function,
    tests_of_asserts,
    tests_of_check,
)
from curriculum.datasets.reading.record import RecordReader
from curriculum.problem import Assertions
from curriculum.syntax import parse

_FUNCTION_TYPES = {"function_call", "functional"}
_OUTPUTS = ("output", "expected_output", "expected")
TEST_KEYS = frozenset({"input", *_OUTPUTS, "kwargs", "fn_name", "type", "testtype", "metadata"})
"""What is read of a test that is an object."""


def any_tests(
    record: RecordReader,
    name: str,
    solution: str,
    fn_name: str | None,
    pytest_assertions: Callable[[str], Assertions],
) -> dict[str, Any]:
    """The fields of `Problem` that a record's field of tests gives.

    Args:
        record: holds the field.
        name: the field.
        solution: the program that the tests call.
        fn_name: the function, where the record names one.
        pytest_assertions: reads a module in pytest's style.

    Raises:
        BadRecord: the field is none of the shapes above.
    """
    value = record.get(name)
    if isinstance(value, str):
        if value.strip()[:1] not in ("[", "{", ""):
            return record.convert(
                name, lambda text: _of_code(text, solution, fn_name, pytest_assertions)
            )
        value = record.decoded(name)
    if isinstance(value, dict):
        return _of_columns(record, name, cast(dict[str, Any], value), fn_name)
    if not isinstance(value, list):
        raise record.wrong_kind(name, "tests", value)
    items = cast(list[Any], value)
    if not items:
        raise record.error(name, "no test in it")
    if all(isinstance(item, str) for item in items):
        found, tests = record.convert(
            name,
            lambda _: tests_of_asserts([text.strip() for text in items], solution, ""),
            text="",
        )
        return {"fn_name": fn_name or found, **tests.fields()}
    tests = [_test(record, name, index, test) for index, test in enumerate(items)]
    return {"fn_name": _named(record, name, items) or fn_name, "tests": tests}


def _of_code(
    source: str,
    solution: str,
    fn_name: str | None,
    pytest_assertions: Callable[[str], Assertions],
) -> dict[str, Any]:
    body = parse(source).body
    if fn_name and any(isinstance(n, ast.FunctionDef) and n.name == "check" for n in body):
        return {"fn_name": fn_name, **tests_of_check(source, fn_name).fields()}
    tests: CodeTests
    if any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in body):
        found = fn_name or called_function([body], solution)
        tests = CodeTests(assertions=pytest_assertions(source))
    else:
        asserts = [ast.unparse(node) for node in body if isinstance(node, ast.Assert)]
        setup = "\n".join(ast.unparse(node) for node in body if not isinstance(node, ast.Assert))
        found, tests = tests_of_asserts(asserts, solution, setup)
    return {"fn_name": fn_name or found, **tests.fields()}


def _of_columns(
    record: RecordReader, name: str, value: dict[str, Any], fn_name: str | None
) -> dict[str, Any]:
    names = ("inputs", "outputs") if "inputs" in value else ("input", "output")
    if missing := [key for key in names if key not in value]:
        raise record.error(f"{name}.{missing[0]}", "missing")
    fn_name = value.get("fn_name") or fn_name
    tests = record.within(value).tests(*names, call_based=fn_name is not None)
    return {"fn_name": fn_name, "tests": tests}


def lines_of_values(test: RecordReader) -> dict[str, Any]:
    """A call in LiveCodeBench's form: one argument on each line of `input`, as JSON."""
    lines = [line for line in test.text("input").split("\n") if line.strip()]
    arguments = [test.within({"input": line}).decoded("input") for line in lines]
    return {"input": arguments, "output": test.decoded("output")}


def _named(record: RecordReader, name: str, tests: list[dict[str, Any]]) -> str | None:
    """The function that the tests themselves name, if any."""
    found = [_called(test) for test in tests]
    if any(other != found[0] for other in found):
        raise record.error(f"{name}.fn_name", "the tests call several functions, or some call none")
    if found[0] is None and any(_FUNCTION_TYPES.intersection(_types(test)) for test in tests):
        raise record.error(f"{name}.fn_name", "missing; the tests say that they call a function")
    return found[0]


def _called(test: dict[str, Any]) -> str | None:
    metadata = test.get("metadata")
    inner = cast(dict[str, Any], metadata).get("func_name") if isinstance(metadata, dict) else None
    return test.get("fn_name") or inner or None


def _types(test: dict[str, Any]) -> set[str]:
    return {str(test.get(key)) for key in ("type", "testtype")}


def _test(record: RecordReader, name: str, index: int, value: Any) -> dict[str, Any]:
    where = f"{name}.{index}"
    if not isinstance(value, dict):
        raise record.error(where, "must be an object with input and output")
    test = cast(dict[str, Any], value)
    output = next((key for key in _OUTPUTS if key in test), None)
    if "input" not in test or output is None:
        missing = "output" if "input" in test else "input"
        raise record.error(f"{where}.{missing}", "missing")
    try:
        if test.get("testtype") == "functional":
            return lines_of_values(record.within({"input": test["input"], "output": test[output]}))
        given, wanted = from_json(test["input"]), from_json(test[output])
        return {"input": given, "output": wanted, "kwargs": from_json(test.get("kwargs") or {})}
    except ValueError as error:
        raise record.error(where, str(error)) from None

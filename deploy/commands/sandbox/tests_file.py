"""A JSON file of tests, in any of the shapes that data sets use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from curriculum.errors import first_fault
from curriculum.problem import Assertions, Comparison, Test
from deploy.errors import ConfigError

SHAPES = (
    'a list of {"input", "output", "kwargs"?}, or {"fn_name"?, "tests": [such a list]}, '
    'or {"fn_name"?, "inputs": [...], "outputs": [...]}, '
    'or {"test_list": ["assert ...", ...], "test_setup_code"?}, or {"test", "entry_point"}'
)


class TestFile(NamedTuple):
    """The content of a file of tests."""

    __test__ = False

    fn_name: str | None
    tests: tuple[Test, ...] = ()
    assertions: Assertions | None = None
    comparison: Comparison = "close"
    """The one that data sets of this shape are compared by."""


def read_tests(path: Path) -> TestFile:
    """The tests in a JSON file, in one of `SHAPES`.

    Raises:
        ConfigError: anything else, or a test without output; names the file and the test.
    """
    try:
        content = json.loads(read_text(path).removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    fn_name, records, comparison = None, content, "close"
    if isinstance(content, dict) and {"test_list", "entry_point"} & content.keys():
        return TestFile(None, assertions=_assertions(path, content))
    if isinstance(content, dict):
        fn_name = content.get("fn_name")
        records = content.get("tests")
        if "inputs" in content:
            records, comparison = _paired(path, content), "apps"
    if not isinstance(records, list) or not isinstance(fn_name, str | None):
        raise ConfigError(f"{path}: not tests; expected {SHAPES}")
    if not records:
        raise ConfigError(f"{path}: no tests in it; a program without tests has no verdict")
    tests = tuple(_test(path, i, record) for i, record in enumerate(records))
    return TestFile(fn_name, tests, comparison=comparison)


def _assertions(path: Path, content: dict[str, Any]) -> Assertions:
    """Assertions in the form of MBPP (`test_list`) or HumanEval (`test`, `entry_point`)."""
    try:
        if "entry_point" in content:
            return Assertions.of_check(content.get("test", ""), content["entry_point"])
        setup = content.get("test_setup_code", "")
        return Assertions(statements=content["test_list"], setup=setup)
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error)[1]}") from None


def _paired(path: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    inputs, outputs = content["inputs"], content.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise ConfigError(f"{path}: `inputs` and `outputs` must both be lists")
    if len(inputs) != len(outputs):
        raise ConfigError(f"{path}: {len(inputs)} inputs but {len(outputs)} outputs")
    return [
        {"input": test_input, "output": output}
        for test_input, output in zip(inputs, outputs, strict=True)
    ]


def _test(path: Path, index: int, record: Any) -> Test:
    try:
        return Test.model_validate(record)
    except ValidationError as error:
        field, reason = first_fault(error)
        place = f"tests[{index}].{field}" if field else f"tests[{index}]"
        raise ConfigError(f"{path}: {place}: {reason}") from None


def read_text(path: Path) -> str:
    """A file's text, byte for byte: `read_text` of pathlib would translate line ends.

    A byte-order mark is no content.

    Raises:
        ConfigError: it is not UTF-8.
        OSError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error}") from None

"""A file of tests, in any of the shapes that data sets use, or of whole problems."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from curriculum.datasets.json_values import from_json
from curriculum.datasets.problem_file import problem_of
from curriculum.datasets.reading.format import Format
from curriculum.datasets.registry import FORMATS, detect, read_source
from curriculum.errors import CurriculumError, first_fault
from curriculum.problem import Assertions, Comparison, Problem, Test
from deploy.commands.data.source import Selection, find_problem
from deploy.errors import ConfigError

SHAPES = (
    'a list of {"input", "output", "kwargs"?}, or {"fn_name"?, "tests": [such a list]}, '
    'or {"fn_name"?, "inputs": [...], "outputs": [...]}, '
    'or {"test_list": ["assert ...", ...], "test_setup_code"?}, or {"test", "entry_point"}, '
    "or a problem as `stepcoder data template` writes it"
)
_NOT_IN_TESTS = {"id": "program", "question": "", "solution": ""}
"""What a problem must have and judging a program does not need."""
_PACKED = (".gz", ".parquet")


class TestFile(NamedTuple):
    """The content of a file of tests."""

    __test__ = False

    fn_name: str | None
    tests: tuple[Test, ...] = ()
    assertions: Assertions | None = None
    comparison: Comparison = "close"
    """The one that data sets of this shape are compared by."""


def read_tests(
    path: Path, problem_id: str | None = None, fn_name: str | None = None
) -> TestFile | Problem:
    """The tests in a file: alone, in one of `SHAPES`, or with all that a problem says of them.

    Args:
        path: JSON, or any file or folder of problems that `stepcoder data convert` reads.
        problem_id: which of several problems.
        fn_name: the function, for tests that do not name it.

    Raises:
        ConfigError: anything else, a test without output, or several problems and no id; names the
            file and the test.
        CurriculumError: a problem cannot be read; names its field.
    """
    if problem_id is not None:
        return find_problem(Selection(), path, problem_id)
    if path.is_dir() or path.suffix in _PACKED:
        return _only_problem(path, detect(path))
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        return _only_problem(path, _form(path, f"not JSON: {error}"))
    if isinstance(content, dict):
        return _of_object(path, cast(dict[str, Any], content), fn_name)
    is_list = isinstance(content, list) and content and isinstance(content[0], dict)
    if is_list and (form := _form_of(content[0])) is not None:
        return _only_problem(path, form)
    return _of_records(path, None, content)


def _of_object(path: Path, content: dict[str, Any], fn_name: str | None) -> TestFile | Problem:
    """One record: a problem of ours or of a published form, or tests alone."""
    ours = bool(content.keys() & {"tests", "assertions"})
    known = content.keys() <= Problem.model_fields.keys()
    if not (ours and known) and (form := _form_of(content)) is not None:
        return _only_problem(path, form)
    if ours and not content.keys() <= {"fn_name", "tests"}:
        named = {"fn_name": fn_name} if fn_name and "assertions" not in content else {}
        return problem_of({**_NOT_IN_TESTS, **content, **named}, path, "problem")
    if {"test_list", "entry_point"} & content.keys():
        return TestFile(None, assertions=_assertions(path, content))
    if "inputs" in content:
        return _of_records(path, content.get("fn_name"), _paired(path, content), "apps")
    if "tests" not in content and content and all(isinstance(v, dict) for v in content.values()):
        return _only_problem(path, _form(path, f"not tests; expected {SHAPES}"))
    return _of_records(path, content.get("fn_name"), content.get("tests"))


def _of_records(
    path: Path, fn_name: Any, records: Any, comparison: Comparison = "close"
) -> TestFile:
    if not isinstance(records, list) or not isinstance(fn_name, str | None):
        raise ConfigError(f"{path}: not tests; expected {SHAPES}")
    if not records:
        raise ConfigError(f"{path}: no tests in it; a program without tests has no verdict")
    tests = tuple(_test(path, i, record) for i, record in enumerate(cast(list[Any], records)))
    return TestFile(fn_name, tests, comparison=comparison)


def _form_of(record: dict[str, Any]) -> Format | None:
    """The form of which a record has every key."""
    return next((form for form in FORMATS.values() if form.recognises(record)), None)


def _form(path: Path, fault: str) -> Format:
    """The form of a file of problems; `fault` is what is wrong where it is none."""
    try:
        return detect(path)
    except CurriculumError:
        raise ConfigError(f"{path}: {fault}") from None


def _only_problem(path: Path, form: Format) -> Problem:
    """The problem of a file that holds no other."""
    first, *others = islice(read_source(path, form), 2)
    if others:
        raise ConfigError(
            f"{path}: holds several problems; name one by its id, such as --problem {first.id}"
        )
    return first


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
        if isinstance(record, dict):
            fields = cast(dict[str, Any], record)
            record = {name: from_json(value) for name, value in fields.items()}
    except ValueError as error:
        raise ConfigError(f"{path}: tests[{index}]: {error}") from None
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

"""Our own problem files: JSONL with one `Problem` per line, read and written without loss."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from curriculum.datasets.json_values import from_json, to_json
from curriculum.datasets.jsonl import decode_line, nonblank_lines
from curriculum.errors import BadRecord, first_fault
from curriculum.files import write_atomic
from curriculum.problem import Problem


def read_problems(path: Path | str) -> list[Problem]:
    """Read the problems of a file written by `write_problems`, in file order; plain or `.gz`.

    Blank lines are skipped.

    Raises:
        BadRecord: names file, line and field of a line that is not a problem, or of an id that an
            earlier line has.
        OSError: the file cannot be read.
    """
    problems: list[Problem] = []
    line_of_id: dict[str, int] = {}
    for line, problem in iter_problems(path):
        if isinstance(problem, BadRecord):
            raise problem
        first = line_of_id.setdefault(problem.id, line)
        if first != line:
            reason = f"{problem.id!r} was used on line {first}"
            raise BadRecord(path, f"line {line}", "id", reason)
        problems.append(problem)
    return problems


def iter_problems(path: Path | str) -> Iterator[tuple[int, Problem | BadRecord]]:
    """Stream (line number from 1, problem) over such a file; a bad line comes as a `BadRecord`.

    Two lines with one id are not noticed here.

    Raises:
        BadRecord: the rest of the file cannot be read.
        OSError: the file cannot be read at all.
    """
    for number, line in nonblank_lines(path):
        where = f"line {number}"
        try:
            record = decode_line(path, where, line)
            if line is not None and b'"$' in line:
                _restore_values(record, path, where)
            yield number, parse_problem(record, path, where)
        except BadRecord as error:
            yield number, error


def write_problems(path: Path | str, problems: Iterable[Problem]) -> None:
    """Write problems as JSONL: the whole file or, on any error, nothing.

    The same problems give the same bytes. Tuples, sets and dicts with any keys are kept
    (`curriculum.datasets.json_values`).

    Raises:
        ValueError: a test value has no JSON form; names problem and field.
        OSError: the file cannot be written.
    """
    write_atomic(Path(path), (f"{dump_problem(problem)}\n" for problem in problems))


def dump_problem(problem: Problem) -> str:
    """One line of such a file, without its end; raises `ValueError` as `write_problems` does."""
    record = problem.model_dump()
    for index, test in enumerate(record["tests"]):
        for field, value in test.items():
            try:
                test[field] = to_json(value)
            except TypeError as error:
                raise ValueError(
                    f"problem {problem.id!r}: tests[{index}].{field}: {error}"
                ) from None
    return json.dumps(record)


def parse_problem(record: Any, path: Path | str, where: str) -> Problem:
    """Validate one decoded record.

    Raises:
        BadRecord: it is not a problem; names `path`, `where` and the first wrong field.
    """
    try:
        return Problem.model_validate(record)
    except ValidationError as error:
        field, reason = first_fault(error)
        raise BadRecord(path, where, field or "record", reason) from None


def _restore_values(record: Any, path: Path | str, where: str) -> None:
    """Give a record's test values, in place, the types that JSON does not have."""
    tests = cast(dict[str, Any], record).get("tests") if isinstance(record, dict) else None
    if not isinstance(tests, list):
        return
    for index, test in enumerate(cast(list[Any], tests)):
        if not isinstance(test, dict):
            continue
        fields = cast(dict[str, Any], test)
        for field in fields.keys() & {"input", "kwargs", "output"}:
            try:
                fields[field] = from_json(fields[field])
            except ValueError as error:
                raise BadRecord(path, where, f"tests.{index}.{field}", str(error)) from None

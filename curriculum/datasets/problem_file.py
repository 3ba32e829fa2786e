"""Our own problem files: one `Problem` per record, read in any container, written as JSONL."""

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from curriculum.datasets.json_values import from_json, to_json
from curriculum.datasets.record_stream import read_records
from curriculum.errors import BadRecord, first_fault
from curriculum.files import write_atomic
from curriculum.problem import Problem, Test

OTHER_TESTS = (
    "asserts and other shapes of tests are read by `stepcoder data convert` with --map tests=tests"
)
"""What a user can do whose tests are not in our own form."""


def read_problems(path: Path | str) -> list[Problem]:
    """Read the problems of a file in our own form, in file order.

    Raises:
        BadRecord: names file, line and field of a record that is not a problem, or of an id that an
            earlier one has.
        OSError: the file cannot be read.
    """
    problems: list[Problem] = []
    place_of_id: dict[str, str] = {}
    for where, problem in iter_problems(path):
        if isinstance(problem, BadRecord):
            raise problem
        first = place_of_id.setdefault(problem.id, where)
        if first != where:
            raise BadRecord(path, where, "id", f"{problem.id!r} was used on {first}")
        problems.append(problem)
    return problems


def iter_problems(path: Path | str) -> Iterator[tuple[str, Problem | BadRecord]]:
    """Stream (place, problem) over such a file; a bad record comes as a `BadRecord`.

    Two records with one id are not noticed here.

    Raises:
        BadRecord: the rest of the file cannot be read.
        OSError: the file cannot be read at all.
    """
    path = Path(path)
    for record in read_records(path):
        try:
            if isinstance(record.fields, BadRecord):
                raise record.fields
            read = problem_of if record.has_forms else parse_problem
            yield record.where, read(record.fields, path, record.where)
        except BadRecord as error:
            yield record.where, error


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
    record["published"] = problem.published.isoformat() if problem.published else None
    for index, test in enumerate(record["tests"]):
        for field, value in test.items():
            try:
                test[field] = to_json(value)
            except TypeError as error:
                raise ValueError(
                    f"problem {problem.id!r}: tests[{index}].{field}: {error}"
                ) from None
    return json.dumps(record)


def problem_digest(problem: Problem) -> str:
    """Sixteen hex digits of a problem's whole content: equal problems have equal digests.

    Raises:
        ValueError: as `dump_problem`.
    """
    return hashlib.sha256(dump_problem(problem).encode()).hexdigest()[:16]


def problem_of(record: dict[str, Any], path: Path | str, where: str) -> Problem:
    """The problem of a record whose test values may be in the forms of `json_values`.

    Parquet gives every record every column: what is null there counts as left out. A column cannot
    hold values of several types either, so `tests` and its like may be JSON text.

    Raises:
        BadRecord: as `parse_problem`, or a value has a form that `to_json` does not write.
    """
    record = {name: value for name, value in record.items() if value is not None}
    for name in record.keys() & {"tests", "assertions", "checker"}:
        try:
            if isinstance(record[name], str):
                record[name] = json.loads(record[name])
        except ValueError as error:
            remedy = f"; {OTHER_TESTS}" if name == "tests" else ""
            raise BadRecord(path, where, name, f"text that is not JSON: {error}{remedy}") from None
    tests = record.get("tests")
    if not isinstance(tests, list):
        if isinstance(tests, dict):
            raise BadRecord(path, where, "tests", f"must be a list, not dict; {OTHER_TESTS}")
        return parse_problem(record, path, where)
    if tests and all(isinstance(test, str) for test in cast(list[Any], tests)):
        raise BadRecord(path, where, "tests", f"a list of texts; {OTHER_TESTS}")
    restored: list[Any] = []
    for index, test in enumerate(cast(list[Any], tests)):
        if isinstance(test, dict):
            fields = dict(cast(dict[str, Any], test))
            if fields.get("kwargs", 0) is None:
                del fields["kwargs"]
            for name in fields.keys() & {"input", "kwargs", "output"}:
                try:
                    fields[name] = from_json(fields[name])
                except ValueError as error:
                    raise BadRecord(path, where, f"tests.{index}.{name}", str(error)) from None
            test = fields
        restored.append(test)
    return parse_problem(record | {"tests": restored}, path, where)


def parse_problem(record: Any, path: Path | str, where: str) -> Problem:
    """Validate one decoded record.

    Raises:
        BadRecord: it is not a problem; names `path`, `where` and the first wrong field.
    """
    try:
        return Problem.model_validate(record)
    except ValidationError as error:
        field, reason = first_fault(error)
        raise BadRecord(path, where, field or "record", _with_nearest(field, reason)) from None


def _with_nearest(field: str, reason: str) -> str:
    if reason != "unknown field":
        return reason
    known = Test.model_fields if field.startswith("tests.") else Problem.model_fields
    nearest = difflib.get_close_matches(field.rpartition(".")[2], known, n=1)
    return f"{reason}; " + (
        f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}"
    )

"""Problems: a question, its canonical solution and its tests; and the JSONL files of them."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from curriculum.datasets.json_values import from_json, to_json
from curriculum.datasets.jsonl import BadRecord, too_long, visible_lines

__all__ = [
    "TIERS",
    "BadRecord",
    "Problem",
    "Test",
    "Tier",
    "dump_problem",
    "iter_problems",
    "parse_problem",
    "read_problems",
    "write_problems",
]

Tier = Literal["introductory", "interview", "competition"]
TIERS: tuple[Tier, ...] = get_args(Tier)


class Test(BaseModel):
    """One call of the solution's function, or one run of its program, and what must come of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    __test__: ClassVar[bool] = False  # not a pytest class, whatever its name

    input: Any
    """Call-based: the list of positional arguments. Program: the whole of stdin, a string."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments; call-based tests only."""
    output: Any
    """The expected return value, or the expected stdout as a string."""


class Problem(BaseModel):
    """One programming problem with a solution known to be right.

    The canonical solution is a whole program: run after the preamble, it defines `fn_name`
    (call-based) or reads stdin and writes stdout (`fn_name` is None).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: str = Field(min_length=1)
    """Unique within a data set; schedules and verdicts are keyed by it."""
    question: str
    """What the model is asked, as text (a comment block where the model continues Python)."""
    starter_code: str = ""
    """Code every answer begins with; most useful when the canonical solution begins with it."""
    preamble: str = ""
    """Imports and helpers that every program of this problem runs behind, whole lines; neither cut
    nor shown to the policy."""
    canonical_solution: str
    """The source the curriculum cuts."""
    fn_name: str | None = Field(default=None, min_length=1)
    """Function the tests call; None for a program tested on stdin and stdout."""
    tests: tuple[Test, ...] = Field(min_length=1)
    """At least one; a problem nobody can grade is not a problem."""
    difficulty: Tier
    """Tier by which results are reported."""
    source: str
    """The data set it came from."""

    @property
    def program(self) -> str:
        """The canonical solution behind its preamble: a program that passes the tests."""
        return self.preamble + self.canonical_solution

    @field_validator("preamble")
    @classmethod
    def _whole_lines(cls, preamble: str) -> str:
        if preamble and not preamble.endswith("\n"):
            raise ValueError("must end with a newline: the solution follows on a line of its own")
        return preamble

    @field_validator("tests")
    @classmethod
    def _tests_fit_the_calling_convention(
        cls, tests: tuple[Test, ...], info: ValidationInfo
    ) -> tuple[Test, ...]:
        if "fn_name" not in info.data:  # already reported as wrong itself
            return tests
        call_based = info.data["fn_name"] is not None
        for index, test in enumerate(tests):
            if call_based and not isinstance(test.input, list):
                kind = type(test.input).__name__
                raise ValueError(f"tests[{index}].input must be a list of arguments, not {kind}")
            if not call_based and not (
                isinstance(test.input, str) and isinstance(test.output, str)
            ):
                raise ValueError(f"tests[{index}] of a stdin program needs string input and output")
            if not call_based and test.kwargs:
                raise ValueError(f"tests[{index}].kwargs: a stdin program takes no arguments")
        return tests


def read_problems(path: Path | str) -> list[Problem]:
    """Read the problems of a JSONL file written by `write_problems`, in file order; plain or `.gz`.

    Blank lines are skipped. Raises `BadRecord` naming file, line and field for anything that is
    not a problem and for an id used twice, and `OSError` when the file cannot be read.
    """
    problems: list[Problem] = []
    line_of: dict[str, int] = {}
    for line, problem in iter_problems(path):
        if isinstance(problem, BadRecord):
            raise problem
        first = line_of.setdefault(problem.id, line)
        if first != line:
            raise BadRecord(path, f"line {line}", "id", f"{problem.id!r} was used on line {first}")
        problems.append(problem)
    return problems


def iter_problems(path: Path | str) -> Iterator[tuple[int, "Problem | BadRecord"]]:
    """Stream such a file: each line's number (from 1) and its problem, or what is wrong with it.

    Doubled ids are the reader's to find. Raises `BadRecord` where the file cannot be read on, and
    `OSError` when it cannot be read at all.
    """
    for number, line in visible_lines(path):
        where = f"line {number}"
        try:
            if line is None:
                raise too_long(path, where)
            record = _loads(line, path, where)
            if b'"$' in line:
                _restore_values(record, path, where)
            yield number, parse_problem(record, path, where)
        except BadRecord as error:
            yield number, error


def _restore_values(record: Any, path: Path | str, where: str) -> None:
    """Give a record's test values the types that JSON does not have."""
    if isinstance(record, dict) and isinstance(record.get("tests"), list):
        for index, test in enumerate(record["tests"]):
            if not isinstance(test, dict):
                continue
            for field in test.keys() & {"input", "kwargs", "output"}:
                try:
                    test[field] = from_json(test[field])
                except ValueError as error:
                    raise BadRecord(path, where, f"tests.{index}.{field}", str(error)) from None


def write_problems(path: Path | str, problems: Iterable[Problem]) -> None:
    """Write problems as JSONL: the whole file or, on any error, nothing.

    Same problems, same bytes. Tuples, sets and dicts with any keys come back as they were
    (`curriculum.datasets.json_values`); raises `ValueError` for a test value with no such form.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii", newline="\n") as file:
            for problem in problems:
                file.write(dump_problem(problem) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def parse_problem(record: Any, path: Path | str, where: str) -> Problem:
    """Validate one decoded record; `where` names it in the `BadRecord` raised when it is wrong."""
    try:
        return Problem.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "record"
        raise BadRecord(path, where, field, first["msg"]) from None


def _loads(line: bytes, path: Path | str, where: str) -> Any:
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise BadRecord(path, where, "text", str(error)) from None
    except (ValueError, RecursionError) as error:
        raise BadRecord(path, where, "json", str(error)) from None


def dump_problem(problem: Problem) -> str:
    """One line of our JSONL, without its end; raises `ValueError` as `write_problems`."""
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

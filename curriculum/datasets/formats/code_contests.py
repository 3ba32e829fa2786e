"""CodeContests (DeepMind): tests and solutions as parallel lists, solutions in several languages.

The first solution in Python 3 is the canonical one. All three kinds of tests are read, public,
private and generated. A problem that reads or writes a file is refused: programs here read stdin.
"""

from typing import Any, cast

from curriculum.datasets.reading.format import Format
from curriculum.datasets.reading.record import RecordReader, without_tabs
from curriculum.problem import Problem, Tier

PYTHON_3 = frozenset({3, "3", "PYTHON3"})
"""The code of the language in the hub's form, and its name."""
KINDS = ("public_tests", "private_tests", "generated_tests")
GRADED: dict[int, Tier] = {1: "introductory", 2: "interview", 3: "competition"}
"""EASY, MEDIUM and HARD; 4 and 5 are harder, and 7 is Codeforces' problem A, 8 is B, and so on."""
INTRODUCTORY_RATING, INTERVIEW_RATING = 1200, 2000
"""Codeforces ratings below which a problem is introductory, and of interview level."""


def code_contests_problem(record: RecordReader) -> Problem:
    """The name is the id, unique over the sources."""
    for name in ("input_file", "output_file"):
        if record.get(name):
            raise record.error(name, f"{record.get(name)!r}: the program must read and write files")
    tests = [test for kind in KINDS if record.get(kind) for test in _tests(record, kind)]
    if not tests:
        raise record.error("public_tests", "no test in it, nor in private_tests, generated_tests")
    return record.problem(
        id=f"code_contests/{record.text('name')}",
        question=record.text("description").strip(),
        solution=without_tabs(_python_3_solution(record)),
        tests=tests,
        time_limit=_seconds(record),
        difficulty=_tier(record),
        source="code_contests",
    )


def rated(rating: float) -> Tier:
    """The tier of a problem's Codeforces rating."""
    if rating < INTRODUCTORY_RATING:
        return "introductory"
    return "interview" if rating < INTERVIEW_RATING else "competition"


def _columns(record: RecordReader, name: str, first: str, second: str) -> list[tuple[Any, Any]]:
    """The pairs of a field that is an object of two lists, or a list of objects of two values."""
    value = record.decoded(name)
    if isinstance(value, list) and all(isinstance(item, dict) for item in cast(list[Any], value)):
        rows = cast(list[dict[str, Any]], value)
        return [(row.get(first), row.get(second)) for row in rows]
    if not isinstance(value, dict):
        raise record.wrong_kind(name, "an object of two lists", value)
    lists = [cast(dict[str, Any], value).get(key) for key in (first, second)]
    if not all(isinstance(column, list) for column in lists):
        raise record.error(name, f"must hold the lists {first!r} and {second!r}")
    left, right = cast(list[list[Any]], lists)
    if len(left) != len(right):
        raise record.error(name, f"{len(right)} of {second!r} for {len(left)} of {first!r}")
    return list(zip(left, right, strict=True))


def _tests(record: RecordReader, kind: str) -> list[dict[str, Any]]:
    return [{"input": i, "output": o} for i, o in _columns(record, kind, "input", "output")]


def _python_3_solution(record: RecordReader) -> str:
    if not record.get("solutions"):
        raise record.error("solutions", "none")
    solutions = _columns(record, "solutions", "language", "solution")
    python = [text for language, text in solutions if language in PYTHON_3]
    if not all(isinstance(text, str) for text in python):
        raise record.error("solutions", "a solution is not text")
    if not python:
        raise record.error("solutions", f"none of {len(solutions)} is in Python 3 (language 3)")
    return record.first_python("solutions", python)


def _seconds(record: RecordReader) -> float | None:
    """The time limit, a duration in protobuf's form; None where it gives none."""
    limit: Any = record.decoded("time_limit") if record.get("time_limit") else {}
    if not isinstance(limit, dict):
        raise record.wrong_kind("time_limit", "an object of seconds and nanos", limit)
    parts = {name: part or 0 for name, part in cast(dict[str, Any], limit).items()}
    unknown = parts.keys() - {"seconds", "nanos"}
    if unknown or not all(type(part) in (int, float) and part >= 0 for part in parts.values()):
        raise record.error("time_limit", f"{limit!r} is no duration of seconds and nanos")
    return parts.get("seconds", 0) + parts.get("nanos", 0) / 1e9 or None


def _tier(record: RecordReader) -> Tier:
    rating, grade = record.get("cf_rating") or 0, record.get("difficulty") or 0
    if isinstance(rating, int) and rating > 0:
        return rated(rating)
    if not isinstance(grade, int) or grade in (0, 6):  # unknown, external
        return "interview"
    letters: dict[int, Tier] = {7: "introductory", 8: "interview", 9: "interview"}
    return (GRADED | letters).get(grade, "competition")


FORMAT = Format(
    name="code_contests",
    description="CodeContests: parallel lists of tests and of solutions in several languages",
    keys=("name", "description", "public_tests", "solutions"),
    more_keys=frozenset(
        {"private_tests", "generated_tests", "incorrect_solutions", "cf_rating", "cf_tags",
         "time_limit", "memory_limit_bytes", "source", "difficulty", "input_file", "output_file"}
    ),
    to_problem=code_contests_problem,
)  # fmt: skip

"""open-r1/codeforces: Codeforces problems with time limits, checkers and official tests.

No solutions are published there. A problem that several outputs solve brings a checker, a Python
program. Interactive problems and problems that read a file are refused by name.
"""

from typing import Any, cast

from curriculum.datasets.formats.code_contests import rated
from curriculum.datasets.reading.format import Format
from curriculum.datasets.reading.record import RecordReader
from curriculum.problem import Problem

SECTIONS = {"input_format": "Input", "output_format": "Output"}


def codeforces_problem(record: RecordReader) -> Problem:
    """The statement is put together from its parts; official tests count, else the examples."""
    if record.text("interaction_format", "").strip():
        raise record.error("interaction_format", "an interactive problem cannot be judged here")
    mode = record.text("input_mode", "stdio")
    if mode != "stdio":
        raise record.error("input_mode", f"{mode!r}: programs here read stdin")
    examples = _tests(record, "examples")
    official = _tests(record, "official_tests")
    checker = record.code("generated_checker", "").strip()
    rating = record.get("rating")
    return record.problem(
        id=f"codeforces/{record.text('id')}",
        question=_statement(record, examples),
        solution="",
        tests=official or examples,
        checker={"source": f"{checker}\n"} if checker else None,
        time_limit=record.get("time_limit") or None,
        difficulty=rated(rating) if isinstance(rating, int | float) else "interview",
        source="codeforces",
    )


def _tests(record: RecordReader, name: str) -> list[dict[str, str]]:
    value: Any = record.decoded(name) if record.get(name) else []
    if not isinstance(value, list):
        raise record.wrong_kind(name, "a list", value)
    tests = cast(list[Any], value)
    if not all(isinstance(test, dict) for test in tests):
        raise record.error(name, "must be a list of objects with input and output")
    readers = [record.within(test) for test in tests]
    return [{"input": test.text("input"), "output": test.text("output")} for test in readers]


def _statement(record: RecordReader, examples: list[dict[str, str]]) -> str:
    parts = [record.text("title", ""), record.text("description")]
    for name, title in SECTIONS.items():
        text = record.text(name, "").strip()
        if text:
            parts.append(f"{title}\n{text}")
    parts += [f"Example input\n{e['input']}\nExample output\n{e['output']}" for e in examples]
    note = record.text("note", "").strip()
    if note:
        parts.append(f"Note\n{note}")
    return "\n\n".join(part.strip() for part in parts if part.strip())


FORMAT = Format(
    name="codeforces",
    description="open-r1/codeforces: time limits, checkers, official tests; no solutions",
    keys=("id", "description", "input_format", "official_tests"),
    more_keys=frozenset(
        {"contest_id", "index", "time_limit", "memory_limit", "title", "examples", "rating", "note",
         "generated_checker", "input_mode", "interaction_format", "official_tests_complete"}
    ),
    to_problem=codeforces_problem,
)  # fmt: skip

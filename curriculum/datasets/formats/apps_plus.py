"""APPS+, and records like it under the usual names of their fields.

As its authors publish it (github.com/Ablustrund/APPS_Plus), APPS+ is one JSON list; a record holds
a description, a canonical solution, a function name, inputs, outputs, and starter code that is the
beginning of the canonical solution. A program that reads stdin is published as a function without
parameters (`def solve():`); it is read as a program that ends with a call of that function. The key
`prefix` is not in the published file; conversions to this shape give this name to what runs before
the solution, which is the preamble here.

Everything that no other form recognises is read in this way too, also what `--map` gives names:

- Tests stand in `inputs` and `outputs`, directly or inside `input_output` (an object, perhaps as a
  JSON string, which may hold `fn_name` too), or in `tests` (`reading.any_tests`). Inputs and
  outputs of stdin programs may be lists of lines.
- The solution may be a list, or one as a JSON string; the first that is Python 3 is taken.
- The tabs of a solution's indentation become four columns each.
- A record without an id gets `<file name>/<index>`, one without a source the file's name.
- Every other field of our own form is read under its own name. A checker may be its source alone,
  a time limit a text such as `2 seconds` or `500 ms`.
- A field that `--map` places is read from there and from nowhere else.
"""

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from curriculum.datasets.formats.kodcode import pytest_assertions
from curriculum.datasets.reading.any_tests import any_tests
from curriculum.datasets.reading.format import Format
from curriculum.datasets.reading.record import (
    RecordReader,
    starter_without_tabs,
    unfenced,
    without_tabs,
)
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem
from curriculum.syntax import UNPARSABLE, parse

ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "task_id", "problem_id", "question_id"),
    "question": ("question", "prompt", "problem", "description", "problem_description"),
    "solution": ("solution", "canonical_solution", "solutions"),
    "starter_code": ("starter_code", "starter"),
    "preamble": ("preamble", "prefix"),
    "fn_name": ("fn_name", "function_name", "entry_point"),
    "inputs": ("inputs",),
    "outputs": ("outputs",),
    "input_output": ("input_output",),
    "tests": ("tests", "test_cases", "test_list", "test"),
    "assertions": ("assertions",),
    "comparison": ("comparison",),
    "checker": ("checker",),
    "time_limit": ("time_limit",),
    "result_argument": ("result_argument",),
    "difficulty": ("difficulty", "level"),
    "source": ("source",),
    "published": ("published",),
}
"""Accepted keys of each field, best first. Case, spaces and hyphens do not matter."""
_COLUMNS = ("inputs", "outputs")
_TESTS = (*_COLUMNS, "input_output", "tests", "assertions")
"""The fields that hold tests, in any shape."""


def apps_plus_problem(record: RecordReader) -> Problem:
    """The problem of a record under the usual names."""
    fields = _normalised(record)
    written = _solution(fields)
    starter = starter_without_tabs(fields.text("starter_code", ""), written)
    solution = without_tabs(written)
    fn_name = fields.get("fn_name") or None
    if fn_name is not None and _is_stdin_program(fields, fn_name, solution):
        solution, fn_name = f"{solution.rstrip()}\n\n\n{fn_name}()\n", None
    preamble = fields.text("preamble", "")
    identity = fields.get("id")
    return fields.problem(
        id=f"{record.path.stem}/{record.index}" if identity is None else _as_text(identity),
        question=fields.text("question"),
        starter_code=starter,
        preamble=preamble if not preamble or preamble.endswith("\n") else f"{preamble}\n",
        solution=solution,
        difficulty=fields.tier("difficulty", {tier: tier for tier in TIERS}, default=TIERS[0]),
        source=record.path.stem if fields.get("source") is None else fields.get("source"),
        published=fields.get("published") or None,
        **_tests(fields, solution, fn_name),
        **_judging(fields),
    )


def _normalised(record: RecordReader) -> RecordReader:
    """A record's values by field; the parts of `input_output` become fields.

    Raises:
        BadRecord: a field that is needed is missing, or given twice with different values.
    """
    unplaced = [key for key in record.fields if key not in record.mapped]
    if len({plain_key(key) for key in unplaced}) < len(unplaced):
        names = ", ".join(unplaced)
        raise record.error("record", f"two keys differ only in spelling: {names}")
    names = names_of(dict(record.fields), record.mapped)  # a copy: to look is not to read
    tests_key = names.pop("tests", None)
    fields: dict[str, Any] = {field: record.fields[key] for field, key in names.items()}
    normalised = record.within(fields)
    if "input_output" in fields:
        _unpack_tests(normalised)
    if tests_key is not None and not {"inputs", "outputs"} <= fields.keys():
        fields["tests"] = record.fields[tests_key]
    tests = next(((name,) for name in ("tests", "assertions") if name in fields), _COLUMNS[:2])
    for field in ("question", "solution", *tests):
        if field not in fields:
            raise record.error(field, f"missing (accepted: {', '.join(ALIASES[field])})")
    return normalised


def names_of(record: Mapping[str, Any], mapped: Mapping[str, str] | None = None) -> dict[str, str]:
    """Which key of a record holds which field.

    Of several keys of a field, one of `mapped` counts, else the best that is not null. Where tests
    stand in several fields, the mapped ones count, else those that are not null.
    """
    mapped = mapped or {}
    placed = {plain_key(key) for key in mapped}
    keys = {plain_key(key): key for key in sorted(record, key=mapped.__contains__)}
    names: dict[str, str] = {}
    for field, aliases in ALIASES.items():
        present = [keys[name] for name in aliases if name in keys]
        if placed.intersection(aliases):
            present = [key for key in present if key in mapped]
        if present:
            names[field] = next((key for key in present if record[key] is not None), present[0])
    held = [field for field in _TESTS if field in names]
    chosen = [field for field in held if names[field] in mapped]
    chosen = chosen or [field for field in held if record[names[field]] is not None]
    if "tests" in chosen and not {*_COLUMNS} <= {*chosen} and "input_output" not in chosen:
        chosen = [field for field in chosen if field not in _COLUMNS]
    return {f: key for f, key in names.items() if f not in held or not chosen or f in chosen}


def _unpack_tests(record: RecordReader) -> None:
    decoded = record.decoded("input_output")
    if not isinstance(decoded, dict):
        raise record.wrong_kind("input_output", "a JSON object", decoded)
    packed, fields = cast(dict[str, Any], decoded), record.fields
    for field in ("inputs", "outputs", "fn_name"):
        if field not in packed:
            continue
        if field in fields and fields[field] != packed[field]:
            raise record.error(field, "stands both beside and inside input_output, and differs")
        fields[field] = packed[field]
    del fields["input_output"]


def _tests(fields: RecordReader, solution: str, fn_name: str | None) -> dict[str, Any]:
    given = fields.get("comparison")
    chosen = {} if given is None else {"comparison": given}
    if fields.get("assertions") is not None:
        if fields.get("tests"):
            raise fields.error("tests", "must be left out beside assertions")
        return {"fn_name": fn_name, "assertions": fields.decoded("assertions"), **chosen}
    if "tests" in fields.fields:
        return any_tests(fields, "tests", solution, fn_name, pytest_assertions) | chosen
    tests = fields.tests("inputs", "outputs", call_based=fn_name is not None)
    if not tests:
        raise fields.error("inputs", "no test in it: at least 1 test is needed")
    return {"fn_name": fn_name, "tests": tests, "comparison": given or "apps"}


def _judging(fields: RecordReader) -> dict[str, Any]:
    """The fields that say how a problem is judged, of those that are given."""
    judging = {"time_limit": fields.seconds("time_limit")}
    judging["result_argument"] = fields.get("result_argument")
    checker = fields.get("checker")
    if isinstance(checker, str) and not checker.lstrip().startswith("{"):
        checker = {"source": fields.code("checker")} if checker.strip() else None
    elif checker is not None:
        checker = fields.decoded("checker") or None
    return judging | {"checker": checker}


def _solution(fields: RecordReader) -> str:
    value = fields.get("solution")
    if isinstance(value, str) and value.lstrip()[:2] in ('["', "['"):
        try:
            value = fields.decoded("solution")
        except BadRecord:  # code that begins with a list
            value = fields.get("solution")
    if isinstance(value, list):
        texts = fields.within({"solution": value}).texts("solution")
        return fields.first_python("solution", texts)
    text = unfenced(fields.within({"solution": value}).text("solution"))
    if not text.strip() and not fields.mapped:
        raise fields.error("solution", "empty")
    return text if text.strip() else ""


def _is_stdin_program(fields: RecordReader, fn_name: Any, solution: str) -> bool:
    """Whether the tests give texts to a function that takes no arguments."""
    inputs = fields.decoded("inputs")
    if not isinstance(inputs, list) or not inputs:
        return False
    if not all(isinstance(value, str) for value in cast(list[Any], inputs)):
        return False
    try:
        body = parse(solution).body
    except UNPARSABLE:
        return False
    return any(
        isinstance(node, ast.FunctionDef) and node.name == fn_name and ast.unparse(node.args) == ""
        for node in body
    )


def _as_text(identity: Any) -> Any:
    return str(identity) if isinstance(identity, int) else identity


def plain_key(key: str) -> str:
    """A key, spelt as the aliases are."""
    return key.strip().lower().replace(" ", "_").replace("-", "_")


FORMAT = Format(
    name="apps_plus",
    description="APPS+, records like it under the usual names, and what --map gives names",
    keys=(ALIASES["question"], ALIASES["solution"], ("inputs", "input_output")),
    more_keys=frozenset(alias for aliases in ALIASES.values() for alias in aliases),
    to_problem=apps_plus_problem,
    spelling=plain_key,
)
MAPPED = replace(
    FORMAT,
    name="mapped",
    keys=(*FORMAT.keys[:2], ("inputs", "input_output", *ALIASES["tests"], "assertions")),
)
"""The same for every record of which a user says where its fields stand, our own form's too: its
tests may have any shape, and its solution may be empty."""

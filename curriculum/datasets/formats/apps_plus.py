"""APPS+-shaped files: one JSON document, or JSONL, under the usual names of the fields.

As its authors publish it (github.com/Ablustrund/APPS_Plus), APPS+ is one JSON list; a record holds
a description, a canonical solution, a function name, inputs, outputs, and starter code that is the
beginning of the canonical solution. A program that reads stdin is published as a function without
parameters (`def solve():`); it is read as a program that ends with a call of that function. The key
`prefix` is not in the published file; conversions to this shape give this name to what runs before
the solution, which is the preamble here.

The format is tolerant of form and strict about meaning:

- The file is a JSON list of records, a JSON object from id to record, or JSONL.
- Tests stand in `inputs` and `outputs`, directly or inside `input_output` (an object, perhaps as a
  JSON string, which may hold `fn_name` too). Inputs and outputs of stdin programs may be lists of
  lines.
- The solution may be a list, or one as a JSON string; the first is taken.
- The tabs of a solution's indentation become four columns each.
- A record without an id gets `<file name>/<index>`, one without a source the file's name.
"""

import ast
import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from curriculum.datasets.formats.apps_plus_keys import KeyMapping
from curriculum.datasets.formats.format import Format, Reading
from curriculum.datasets.formats.record import (
    RecordReader,
    json_kind,
    starter_without_tabs,
    without_tabs,
)
from curriculum.datasets.json_document import json_document
from curriculum.datasets.jsonl import is_jsonl, json_objects
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem
from curriculum.syntax import UNPARSABLE, parse

logger = logging.getLogger(__name__)


def read_apps_plus(path: Path, guessed: bool = False) -> Reading:
    """Stream such a file; the keys that were read as fields are logged at its end.

    `guessed` is as in `KeyMapping`.

    Raises:
        BadRecord: the rest of the file cannot be read.
    """
    mapping = KeyMapping(guessed)
    count = 0
    for index, (key, record) in enumerate(_records(path)):
        where = f"record {index}"
        try:
            if isinstance(record, BadRecord):
                raise record
            if not isinstance(record, dict):
                reason = f"must be a JSON object, not {json_kind(record)}"
                raise BadRecord(path, where, "record", reason)
            default_id = key if key is not None else f"{path.stem}/{index}"
            reader = RecordReader(path, where, cast(dict[str, Any], record))
            yield _apps_plus_problem(reader, mapping, default_id)
            count += 1
        except BadRecord as error:
            yield error
    logger.info("%s: %d problems; %s", path, count, mapping)


def _records(path: Path) -> Iterator[tuple[str | None, Any]]:
    """Yield (id that the file's form gives, record) for each of the three forms."""
    if is_jsonl(path):
        yield from ((None, record) for _, record in json_objects(path))
    else:
        yield from json_document(path)


def _apps_plus_problem(record: RecordReader, mapping: KeyMapping, default_id: str) -> Problem:
    fields = mapping.normalised(record)
    written = _solution(fields, packed=mapping.key_of("solution") == "solutions")
    starter = starter_without_tabs(fields.text("starter_code", ""), written)
    solution = without_tabs(written)
    fn_name = fields.get("fn_name") or None
    if fn_name is not None and _is_stdin_program(fields, fn_name, solution):
        solution, fn_name = f"{solution.rstrip()}\n\n\n{fn_name}()\n", None
    preamble = fields.text("preamble", "")
    identity = fields.get("id")
    return fields.problem(
        id=default_id if identity is None else _as_text(identity),
        question=fields.text("question"),
        starter_code=starter,
        preamble=preamble if not preamble or preamble.endswith("\n") else f"{preamble}\n",
        solution=solution,
        fn_name=fn_name,
        tests=fields.tests("inputs", "outputs", call_based=fn_name is not None),
        comparison="apps",
        difficulty=fields.tier("difficulty", {tier: tier for tier in TIERS}),
        source=fields.get("source") or record.path.stem,
    )


def _solution(fields: RecordReader, packed: bool) -> str:
    value = fields.decoded("solution") if packed else fields.get("solution")
    if isinstance(value, list):
        if not value:
            raise fields.error("solution", "the list of solutions is empty")
        value = cast(list[Any], value)[0]
    single = RecordReader(fields.path, fields.where, {"solution": value})
    text = single.text("solution")
    if not text.strip():
        raise fields.error("solution", "empty")
    return text


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


FORMAT = Format(
    name="apps_plus",
    description="APPS+ (one JSON document), and JSON or JSONL under the usual names of the fields",
    recognises=lambda path, _: not path.is_dir(),
    read=read_apps_plus,
)
GUESSED = replace(FORMAT, read=partial(read_apps_plus, guessed=True))
"""The same, for a file that no format recognised: an error about its keys says so."""

"""Reading APPS+-shaped files: one JSON document, or JSONL, under the usual names of the fields.

As its authors publish it (github.com/Ablustrund/APPS_Plus), APPS+ is one JSON list; a record holds
a description, a canonical solution, a function name, inputs, outputs, and starter code that is the
beginning of the canonical solution. A program that reads stdin stands there as a function without
parameters (`def solve():`): read as what it is, a program, with the call of that function as its
last line. The key `prefix` is not of the published file; it is the name that conversions to this
shape give to what runs before the solution, which is the preamble here.
"""

import ast
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curriculum.datasets.formats.record import starter_without_tabs, without_tabs
from curriculum.datasets.json_document import json_document
from curriculum.datasets.jsonl import is_jsonl, json_objects
from curriculum.datasets.problem_file import parse_problem
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem
from curriculum.syntax import UNPARSABLE, parse

log = logging.getLogger(__name__)

ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "task_id", "problem_id"),
    "question": ("question", "prompt", "problem", "description", "problem_description"),
    "canonical_solution": ("canonical_solution", "solution", "solutions"),
    "starter_code": ("starter_code", "starter"),
    "preamble": ("preamble", "prefix"),
    "fn_name": ("fn_name", "function_name", "entry_point"),
    "inputs": ("inputs",),
    "outputs": ("outputs",),
    "input_output": ("input_output",),
    "difficulty": ("difficulty", "level"),
    "source": ("source",),
}
"""Accepted keys of each field, best first. Case, spaces and hyphens do not matter."""

OPTIONAL = frozenset({"id", "starter_code", "preamble", "fn_name", "source"})


@dataclass
class Mapping:
    """Which key of a file was read as which field, and which keys were not read at all."""

    used: dict[str, str] = field(default_factory=dict)
    """Field to key, the same for every record of a file."""
    ignored: dict[str, int] = field(default_factory=dict)
    """Key to number of records that have it."""

    def __str__(self) -> str:
        used = ", ".join(f"{name} from {key!r}" for name, key in sorted(self.used.items()))
        ignored = ", ".join(map(repr, sorted(self.ignored))) or "none"
        return f"{used}; keys not read: {ignored}"


def read_apps_plus(path: Path | str, mapping: Mapping | None = None) -> list[Problem]:
    """Read a file of APPS+-shaped records, in file order.

    The file is a JSON list of records, a JSON object from id to record, or JSONL. Tests stand in
    `inputs` and `outputs`, directly or inside `input_output` (an object, or one as a JSON string,
    which may hold `fn_name` too); the solution may be a list, or one as a JSON string, of which
    the first is taken. Inputs and outputs of stdin programs may be lists of lines. Line ends
    become `\\n`, and the tabs of a solution's indentation four columns; nothing else is changed. A
    record without id gets `<file name>/<index>`, one without source the file's name.

    The mapping from keys to fields is fixed by the first record that has a field, logged, and
    filled into `mapping` if given. Raises `BadRecord` naming file, index (from 0) and field for a
    record that lacks a field, names it otherwise than the records before it, or means nothing as
    a problem.
    """
    path = Path(path)
    mapping = mapping if mapping is not None else Mapping()
    problems: list[Problem] = []
    index_of: dict[str, int] = {}
    for index, problem in enumerate(iter_apps_plus(path, mapping)):
        if isinstance(problem, BadRecord):
            raise problem
        first = index_of.setdefault(problem.id, index)
        if first != index:
            reason = f"{problem.id!r} was used by record {first}"
            raise BadRecord(path, f"record {index}", "id", reason)
        problems.append(problem)
    return problems


def iter_apps_plus(path: Path, mapping: Mapping | None = None) -> Iterator[Problem | BadRecord]:
    """Stream such a file; a record that is wrong comes as a `BadRecord`, and the next follows.

    One record at a time is in memory, whatever the form. Doubled ids are the reader's to find.
    Raises `BadRecord` where the file cannot be read on.
    """
    mapping = mapping if mapping is not None else Mapping()
    count = 0
    for index, (key, record) in enumerate(_records(path)):
        where = f"record {index}"
        try:
            if isinstance(record, BadRecord):
                raise record
            if not isinstance(record, dict):
                raise BadRecord(path, where, "record", f"an object is wanted, not {_kind(record)}")
            default_id = key if key is not None else f"{path.stem}/{index}"
            yield _Reader(path, where, mapping).problem(record, default_id)
            count += 1
        except BadRecord as error:
            yield error
    log.info("%s: %d problems; %s", path, count, mapping)


def _records(path: Path) -> Iterator[tuple[str | None, Any]]:
    """Yield (id given by the file's form, record) for each of the three forms."""
    if is_jsonl(path):
        yield from ((None, record) for _, record in json_objects(path))
    else:
        yield from json_document(path)


class _Reader:
    """Turns one record into a problem; every complaint names the record and the field."""

    def __init__(self, path: Path, where: str, mapping: Mapping):
        self.path, self.where, self.mapping = path, where, mapping

    def problem(self, record: dict[str, Any], default_id: str) -> Problem:
        fields = self._fields(record)
        written = self._solution(fields["canonical_solution"])
        starter = self._text("starter_code", fields.get("starter_code") or "")
        starter, solution = starter_without_tabs(starter, written), without_tabs(written)
        if fields.get("fn_name") and self._is_stdin_program(fields, solution):
            solution = f"{solution.rstrip()}\n\n\n{fields.pop('fn_name')}()\n"
        tests = self._tests(fields)
        return parse_problem(
            {
                "id": self._id(fields.get("id"), default_id),
                "question": self._text("question", fields["question"]),
                "starter_code": starter,
                "preamble": self._preamble(fields.get("preamble") or ""),
                "canonical_solution": solution,
                "fn_name": fields.get("fn_name") or None,
                "tests": tests,
                "difficulty": self._tier(fields["difficulty"]),
                "source": fields.get("source") or self.path.stem,
            },
            self.path,
            self.where,
        )

    def _fields(self, record: dict[str, Any]) -> dict[str, Any]:
        """Name the record's values by field; `input_output` gives its parts."""
        keys = {_plain(key): key for key in record}
        if len(keys) < len(record):
            raise self._bad("record", f"two keys differ only in spelling: {', '.join(record)}")
        fields: dict[str, Any] = {}
        for name, aliases in ALIASES.items():
            alias = next((alias for alias in aliases if alias in keys), None)
            if alias is not None:
                fields[name] = record[self._agreed(name, keys.pop(alias))]
        for key in keys.values():
            self.mapping.ignored[key] = self.mapping.ignored.get(key, 0) + 1
        if "input_output" in fields:
            self._unpack_tests(fields)
        for name in ALIASES:
            if name not in fields and name not in OPTIONAL and name != "input_output":
                raise self._bad(name, f"missing (accepted: {', '.join(ALIASES[name])})")
        return fields

    def _agreed(self, name: str, key: str) -> str:
        earlier = self.mapping.used.setdefault(name, key)
        if earlier != key:
            raise self._bad(name, f"stands under {key!r}, in earlier records under {earlier!r}")
        return key

    def _unpack_tests(self, fields: dict[str, Any]) -> None:
        packed = self._decoded("input_output", fields.pop("input_output"))
        if not isinstance(packed, dict):
            raise self._bad("input_output", f"an object is wanted, not {_kind(packed)}")
        for name in ("inputs", "outputs", "fn_name"):
            if name not in packed:
                continue
            if name in fields and fields[name] != packed[name]:
                raise self._bad(name, "stands both beside and inside input_output, and differs")
            fields[name] = packed[name]

    def _tests(self, fields: dict[str, Any]) -> list[dict[str, Any]]:
        inputs = self._decoded("inputs", fields["inputs"])
        outputs = self._decoded("outputs", fields["outputs"])
        for name, values in (("inputs", inputs), ("outputs", outputs)):
            if not isinstance(values, list):
                raise self._bad(name, f"a list is wanted, not {_kind(values)}")
        if len(inputs) != len(outputs):
            raise self._bad("outputs", f"{len(outputs)} outputs for {len(inputs)} inputs")
        if not fields.get("fn_name"):
            inputs, outputs = map(_joined, inputs), map(_joined, outputs)
        return [{"input": i, "output": o} for i, o in zip(inputs, outputs, strict=True)]

    def _solution(self, value: Any) -> str:
        if _plain(self.mapping.used["canonical_solution"]) == "solutions":
            value = self._decoded("canonical_solution", value)
        if isinstance(value, list):
            if not value:
                raise self._bad("canonical_solution", "the list of solutions is empty")
            value = value[0]
        text = self._text("canonical_solution", value)
        if not text.strip():
            raise self._bad("canonical_solution", "empty")
        return text

    def _is_stdin_program(self, fields: dict[str, Any], solution: str) -> bool:
        """Whether the tests give texts to a function that takes no arguments."""
        inputs = self._decoded("inputs", fields["inputs"])
        if not isinstance(inputs, list) or not inputs:
            return False
        if not all(isinstance(one, str) for one in inputs):
            return False
        try:
            body = parse(solution).body
        except UNPARSABLE:
            return False
        return any(
            isinstance(node, ast.FunctionDef)
            and node.name == fields["fn_name"]
            and ast.unparse(node.args) == ""
            for node in body
        )

    def _preamble(self, value: Any) -> str:
        text = self._text("preamble", value)
        return text if not text or text.endswith("\n") else f"{text}\n"

    def _tier(self, value: Any) -> Any:
        tier = value.strip().lower() if isinstance(value, str) else value
        if tier not in TIERS:
            raise self._bad("difficulty", f"{value!r} is none of {', '.join(TIERS)}")
        return tier

    def _id(self, value: Any, default: str) -> Any:
        if value is None:
            return default
        return str(value) if isinstance(value, int) else value

    def _text(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self._bad(name, f"text is wanted, not {_kind(value)}")
        return value.replace("\r\n", "\n")

    def _decoded(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise self._bad(name, f"text that is not JSON: {error}") from None

    def _bad(self, name: str, reason: str) -> BadRecord:
        return BadRecord(self.path, self.where, name, reason)


def _plain(key: str) -> str:
    return key.strip().lower().replace(" ", "_").replace("-", "_")


def _joined(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return value


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__

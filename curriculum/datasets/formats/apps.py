"""APPS: a folder per problem, as its authors publish it, or the hub's parquet files.

    train/0001/  question.txt  solutions.json  input_output.json  [metadata.json]  [starter_code.py]

A parquet row holds the same under `problem_id`, `question`, `solutions`, `input_output`,
`difficulty`, `starter_code`; the packed ones as JSON strings.

Written rules, where APPS is untidy: of many solutions the first that is Python 3 is the canonical
one; input and output of a stdin program may be a list of lines; a solution in a class `Solution`
runs behind `PREAMBLE`, as on the site it was written for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curriculum.datasets.formats.record import Fields, parses, starter_without_tabs, without_tabs
from curriculum.datasets.problem_file import parse_problem
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem

PREAMBLE = (
    "import collections, functools, heapq, itertools, math, re, string\n"
    "from bisect import *\n"
    "from collections import *\n"
    "from functools import *\n"
    "from heapq import *\n"
    "from itertools import *\n"
    "from math import inf\n"
    "from typing import *\n"
)
SPLITS = ("train", "test")
BATCH_ROWS = 64

Reading = Iterator[Problem | BadRecord]


def is_apps_folder(path: Path) -> bool:
    """Whether a folder holds problem folders, directly or in its splits."""
    return next(_problem_folders(path, None), None) is not None


def read_apps_folder(path: Path, split: str | None = None) -> Reading:
    """Stream the problems below a folder, in the order of their names.

    `split` chooses `train` or `test` where the folder has them. A problem that is wrong comes as
    a `BadRecord`. Raises `BadRecord` where there is no problem at all.
    """
    found = False
    for folder in _problem_folders(path, split):
        found = True
        where = str(folder.relative_to(path))
        try:
            yield _problem(path, where, _files(path, where, folder))
        except BadRecord as error:
            yield error
    if not found:
        chosen = f" of split {split!r}" if split else ""
        raise BadRecord(path, "folder", "question.txt", f"no problem folder{chosen} in it")


def read_apps_parquet(path: Path) -> Reading:
    """Stream the rows of a parquet file as on the hub.

    Raises `BadRecord` where pyarrow is not installed or the file is no parquet file.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise BadRecord(
            path, "file", "parquet", "reading it needs pyarrow: pip install 'stepcoder[parquet]'"
        ) from None
    try:
        batches = ParquetFile(path).iter_batches(batch_size=BATCH_ROWS)
    except ValueError as error:  # pyarrow.ArrowInvalid is one
        raise BadRecord(path, "file", "parquet", str(error)) from None
    index = 0
    for batch in batches:
        for row in batch.to_pylist():
            try:
                yield _problem(path, f"row {index}", row)
            except BadRecord as error:
                yield error
            index += 1


def _problem_folders(path: Path, split: str | None) -> Iterator[Path]:
    places = [path / name for name in SPLITS if (path / name).is_dir()] if split is None else []
    for place in places or [path / split if split else path]:
        if place.is_dir():
            yield from sorted(p.parent for p in place.glob("*/question.txt"))


def _files(path: Path, where: str, folder: Path) -> dict[str, Any]:
    def content(name: str) -> str | None:
        try:
            return (folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise BadRecord(path, where, name, str(error)) from None

    record: dict[str, Any] = {
        "problem_id": where,
        "question": content("question.txt"),
        "solutions": content("solutions.json"),
        "input_output": content("input_output.json"),
        "starter_code": content("starter_code.py"),
    }
    metadata = Fields(path, where, {"metadata.json": content("metadata.json")})
    decoded = metadata.decoded("metadata.json")
    return record | {"difficulty": decoded.get("difficulty") if decoded else None}


def _problem(path: Path, where: str, record: dict[str, Any]) -> Problem:
    fields = Fields(path, where, record)
    packed = fields.decoded("input_output")
    if not isinstance(packed, dict):
        found = "missing" if packed is None else f"an object is wanted, not {type(packed).__name__}"
        raise fields.bad("input_output", found)
    fn_name = packed.get("fn_name") or None
    written = _solution(fields)
    starter = starter_without_tabs(fields.text("starter_code", ""), written)
    solution = without_tabs(written)
    level = fields.record.get("difficulty") or TIERS[0]
    if level not in TIERS:
        raise fields.bad("difficulty", f"{level!r} is none of {', '.join(TIERS)}")
    return parse_problem(
        {
            "id": f"apps/{fields.record.get('problem_id', where)}",
            "question": fields.text("question").strip(),
            "starter_code": starter,
            "preamble": PREAMBLE if fn_name and "class Solution" in solution else "",
            "canonical_solution": solution,
            "fn_name": fn_name,
            "tests": _tests(fields, packed, fn_name),
            "difficulty": level,
            "source": "apps",
        },
        path,
        where,
    )


def _solution(fields: Fields) -> str:
    solutions = fields.decoded("solutions")
    if not solutions:
        raise fields.bad("solutions", "none")
    if not isinstance(solutions, list) or not all(isinstance(s, str) for s in solutions):
        raise fields.bad("solutions", "a list of texts is wanted")
    for solution in solutions:
        source = solution.replace("\r\n", "\n")
        if source.strip() and parses(source):
            return source
    raise fields.bad("solutions", f"none of {len(solutions)} is Python 3")


def _tests(fields: Fields, packed: dict[str, Any], fn_name: str | None) -> list[dict[str, Any]]:
    columns = [packed.get("inputs"), packed.get("outputs")]
    for name, column in zip(("inputs", "outputs"), columns, strict=True):
        if not isinstance(column, list):
            found = "missing" if column is None else "a list is wanted"
            raise fields.bad(name, found)
    inputs, outputs = columns[0] or [], columns[1] or []
    if len(inputs) != len(outputs):
        raise fields.bad("outputs", f"{len(outputs)} outputs for {len(inputs)} inputs")
    if fn_name is None:
        inputs, outputs = map(_joined, inputs), map(_joined, outputs)
    return [{"input": i, "output": o} for i, o in zip(inputs, outputs, strict=True)]


def _joined(value: Any) -> Any:
    """Standard input or output given as a list of lines, as one text."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return value

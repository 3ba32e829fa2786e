"""APPS and TACO: a question, many solutions, and tests packed as one JSON object.

APPS comes as a folder per problem, as its authors publish it, or as records on the hub:

    train/0001/  question.txt  solutions.json  input_output.json  [metadata.json]  [starter_code.py]

A record holds the same under `problem_id` (or `id`), `question`, `solutions`, `input_output`,
`difficulty`, `starter_code` and `url`; lists and objects as JSON strings. TACO's records add
`tags`, `skill_types`, `time_limit` and more, and have no id.

Rules where they leave a choice: of many solutions the first that is Python 3 is the canonical one;
input and output of a stdin program may be lists of lines; an expected `[x]` also accepts `x`; a
solution in a class `Solution` runs behind `PREAMBLE`, as on the site it was written for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from curriculum.datasets.reading.format import Format
from curriculum.datasets.reading.record import RecordReader, starter_without_tabs, without_tabs
from curriculum.datasets.record_stream import Record
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem, Tier

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
TACO_LEVELS: dict[str, Tier] = {
    "easy": "introductory",
    "medium": "interview",
    "medium_hard": "interview",
    "unknown_difficulty": "interview",
    "hard": "competition",
    "very_hard": "competition",
}


def apps_problem(record: RecordReader) -> Problem:
    """The problem of a record, or of a folder."""
    identity = record.get("problem_id")
    return packed_problem(
        record,
        id=f"apps/{record.get('id') if identity is None else identity}",
        difficulty=record.tier("difficulty", {tier: tier for tier in TIERS}, default=TIERS[0]),
        source="apps",
    )


def taco_problem(record: RecordReader) -> Problem:
    """The problem of a record of TACO; its id is the file's name and the record's number."""
    return packed_problem(
        record,
        id=f"taco/{record.path.name.partition('.')[0]}/{record.index}",
        difficulty=record.tier("difficulty", TACO_LEVELS, default="interview"),
        time_limit=record.seconds("time_limit"),
        source="taco",
    )


def packed_problem(record: RecordReader, **fields: Any) -> Problem:
    """The problem of a record with `solutions` and `input_output` in APPS's form."""
    packed = record.decoded("input_output")
    if not isinstance(packed, dict):
        raise record.wrong_kind("input_output", "a JSON object", packed)
    input_output = record.within(cast(dict[str, Any], packed))
    fn_name = input_output.get("fn_name") or None
    tests = input_output.tests("inputs", "outputs", call_based=fn_name is not None)
    if not tests:
        raise record.error("input_output", "no test in it")
    solutions = record.decoded("solutions")
    if not solutions:
        raise record.error("solutions", "none")
    texts = record.within({"solutions": solutions}).texts("solutions")
    written = record.first_python("solutions", texts)
    solution = without_tabs(written)
    return record.problem(
        question=record.text("question").strip(),
        starter_code=starter_without_tabs(record.text("starter_code", ""), written),
        preamble=PREAMBLE if fn_name and "class Solution" in solution else "",
        solution=solution,
        fn_name=fn_name,
        tests=tests,
        comparison="apps",
        **fields,
    )


def folder_records(path: Path, split: str | None) -> Iterator[Record]:
    """Stream the problem folders below a folder, in the order of their names.

    Raises:
        BadRecord: there is no problem folder at all.
    """
    index = -1
    for index, folder in enumerate(_problem_folders(path, split)):
        where = str(folder.relative_to(path))
        try:
            yield Record(where, index, _read_folder(path, where, folder))
        except BadRecord as error:
            yield Record(where, index, error)
    if index < 0:
        chosen = f" of split {split!r}" if split else ""
        raise BadRecord(path, "folder", "question.txt", f"no problem folder{chosen} in it")


def _is_apps_folder(path: Path) -> bool:
    return next(_problem_folders(path, None), None) is not None


def _problem_folders(path: Path, split: str | None) -> Iterator[Path]:
    splits = [path / name for name in SPLITS if (path / name).is_dir()] if split is None else []
    for place in splits or [path / split if split else path]:
        if place.is_dir():
            yield from sorted(p.parent for p in place.glob("*/question.txt"))


def _read_folder(path: Path, where: str, folder: Path) -> dict[str, Any]:
    def content(name: str) -> str | None:
        try:
            return (folder / name).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise BadRecord(path, where, name, str(error)) from None

    files = {
        "question": content("question.txt"),
        "solutions": content("solutions.json"),
        "input_output": content("input_output.json"),
        "starter_code": content("starter_code.py"),
    }
    record: dict[str, Any] = {name: text for name, text in files.items() if text is not None}
    metadata = RecordReader(path, where, {"metadata.json": content("metadata.json")})
    decoded = metadata.decoded("metadata.json")
    if decoded is not None and not isinstance(decoded, dict):
        raise metadata.wrong_kind("metadata.json", "a JSON object", decoded)
    difficulty = cast(dict[str, Any], decoded or {}).get("difficulty")
    return record | {"problem_id": where, "difficulty": difficulty}


APPS = Format(
    name="apps",
    description="APPS: its authors' folder per problem, perhaps in train/ and test/, or the hub's",
    keys=(("problem_id", "id"), "question", "solutions", "input_output", "difficulty", "url"),
    more_keys=frozenset({"starter_code"}),
    to_problem=apps_problem,
    options=frozenset({"split"}),
    folders=_is_apps_folder,
    folder_records=folder_records,
)
TACO = Format(
    name="taco",
    description="TACO: as APPS, with more fields and levels from EASY to VERY_HARD",
    keys=("question", "solutions", "input_output", "difficulty", "skill_types"),
    more_keys=frozenset({"starter_code", "tags", "raw_tags", "time_limit", "memory_limit", "url"}),
    to_problem=taco_problem,
)

"""APPS: a folder per problem, as its authors publish it, or the hub's parquet files.

    train/0001/  question.txt  solutions.json  input_output.json  [metadata.json]  [starter_code.py]

A parquet row holds the same under `problem_id`, `question`, `solutions`, `input_output`,
`difficulty`, `starter_code`; lists and objects as JSON strings.

Rules where APPS leaves a choice: of many solutions the first that is Python 3 is the canonical one;
input and output of a stdin program may be lists of lines; a solution in a class `Solution` runs
behind `PREAMBLE`, as on the site it was written for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from curriculum.datasets.formats.format import Format, Reading
from curriculum.datasets.formats.record import (
    RecordReader,
    parses,
    starter_without_tabs,
    without_tabs,
)
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
"""Rows of a parquet file in memory at a time."""


def read_apps_folder(path: Path, split: str | None = None) -> Reading:
    """Stream the problems below a folder, in the order of their names.

    Args:
        path: holds the problem folders, directly or in `train` and `test`.
        split: `train` or `test`; None reads both.

    Raises:
        BadRecord: there is no problem folder at all.
    """
    empty = True
    for folder in _problem_folders(path, split):
        empty = False
        where = str(folder.relative_to(path))
        try:
            yield _apps_problem(_read_folder(path, where, folder))
        except BadRecord as error:
            yield error
    if empty:
        chosen = f" of split {split!r}" if split else ""
        raise BadRecord(path, "folder", "question.txt", f"no problem folder{chosen} in it")


def read_apps_parquet(path: Path) -> Reading:
    """Stream the rows of a parquet file as on the hub.

    Raises:
        BadRecord: pyarrow is not installed, or the file is not a parquet file.
    """
    try:
        from pyarrow.parquet import ParquetFile  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise BadRecord(
            path, "file", "parquet", "reading it needs pyarrow: pip install 'stepcoder[parquet]'"
        ) from None
    try:
        batches = cast(Any, ParquetFile(path)).iter_batches(batch_size=BATCH_ROWS)
    except ValueError as error:  # pyarrow.ArrowInvalid is one
        raise BadRecord(path, "file", "parquet", str(error)) from None
    index = 0
    for batch in batches:
        for row in batch.to_pylist():
            try:
                yield _apps_problem(RecordReader(path, f"row {index}", row))
            except BadRecord as error:
                yield error
            index += 1


def _is_apps_folder(path: Path, _: dict[str, Any] | None) -> bool:
    return path.is_dir() and next(_problem_folders(path, None), None) is not None


def _problem_folders(path: Path, split: str | None) -> Iterator[Path]:
    splits = [path / name for name in SPLITS if (path / name).is_dir()] if split is None else []
    for place in splits or [path / split if split else path]:
        if place.is_dir():
            yield from sorted(p.parent for p in place.glob("*/question.txt"))


def _read_folder(path: Path, where: str, folder: Path) -> RecordReader:
    def content(name: str) -> str | None:
        try:
            return (folder / name).read_text(encoding="utf-8")
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
    return RecordReader(path, where, record | {"problem_id": where, "difficulty": difficulty})


def _apps_problem(record: RecordReader) -> Problem:
    packed = record.decoded("input_output")
    if not isinstance(packed, dict):
        raise record.wrong_kind("input_output", "a JSON object", packed)
    input_output = RecordReader(record.path, record.where, cast(dict[str, Any], packed))
    fn_name = input_output.get("fn_name") or None
    written = _python_3_solution(record)
    solution = without_tabs(written)
    return record.problem(
        id=f"apps/{record.get('problem_id')}",
        question=record.text("question").strip(),
        starter_code=starter_without_tabs(record.text("starter_code", ""), written),
        preamble=PREAMBLE if fn_name and "class Solution" in solution else "",
        solution=solution,
        fn_name=fn_name,
        tests=input_output.tests("inputs", "outputs", call_based=fn_name is not None),
        comparison="apps",
        difficulty=record.tier("difficulty", {tier: tier for tier in TIERS}, default=TIERS[0]),
        source="apps",
    )


def _python_3_solution(record: RecordReader) -> str:
    solutions = record.decoded("solutions")
    if not solutions:
        raise record.error("solutions", "none")
    texts = RecordReader(record.path, record.where, {"solutions": solutions}).texts("solutions")
    for text in texts:
        source = text.replace("\r\n", "\n")
        if source.strip() and parses(source):
            return source
    raise record.error("solutions", f"none of {len(texts)} is Python 3")


FOLDER = Format(
    name="apps",
    description="APPS as its authors publish it: a folder per problem, perhaps in train/ and test/",
    recognises=_is_apps_folder,
    read=read_apps_folder,
    read_split=read_apps_folder,
)
PARQUET = Format(
    name="apps_parquet",
    description="APPS as on the hub: a parquet file (needs pip install 'stepcoder[parquet]')",
    recognises=lambda path, _: path.suffix == ".parquet",
    read=read_apps_parquet,
)

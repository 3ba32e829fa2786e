"""The records of a file: JSONL, one JSON document (each plain or gzipped) or parquet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from curriculum.datasets.json_document import json_document
from curriculum.datasets.jsonl import decode_line, nonblank_lines
from curriculum.errors import BadRecord

LOOKAHEAD = 20
"""Lines that are looked at to tell JSONL from one document."""
BATCH_ROWS = 64
"""Rows of a parquet file in memory at a time."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file."""

    where: str
    """Its place for error messages, counted from 1: `line 3` of JSONL, `record 2` of a document,
    `row 2` of parquet."""
    index: int
    """Its number, from 0: a record without an id is named by it."""
    fields: dict[str, Any] | BadRecord
    """Its values by key; the error where the place holds no record."""
    key: str | None = None
    """The id that a document gives which is an object from id to record."""
    has_forms: bool = True
    """False where certainly no value has a form of `json_values`."""


def read_records(path: Path) -> Iterator[Record]:
    """Stream the records of a file.

    Raises:
        BadRecord: the file, or its rest, cannot be read.
        OSError: the file cannot be opened.
    """
    if path.suffix == ".parquet":
        return _parquet_rows(path)
    return _lines(path) if is_jsonl(path) else _document(path)


def is_jsonl(path: Path) -> bool:
    """Whether a file holds a record on each line, also where its first line is damaged.

    An object from id to record may stand on one line. A document over several lines begins with a
    bracket or brace that its first line does not close; a JSONL file whose first line is cut has
    lines from column 0 that are whole objects.
    """
    lines = nonblank_lines(path)
    _, first = next(lines, (0, b""))
    others = (line for _, line in islice(lines, LOOKAHEAD))
    if first is not None and first.lstrip()[:1] not in (b"{", b"["):  # nothing, or no JSON
        return True
    value = None if first is None else _value(first)
    if first is None or isinstance(value, dict):
        return next(others, b"") != b"" or (value is not None and not _maps_ids(cast(Any, value)))
    begins_document = first.strip() == b"{" or (first[:1] == b"[" and value is None)
    return not begins_document and any(line[:1] == b"{" and _value(line) for line in others if line)


def _maps_ids(value: dict[str, Any]) -> bool:
    return bool(value) and all(isinstance(record, dict) for record in value.values())


def _value(line: bytes) -> Any:
    try:
        return decode_line("", "", line)
    except BadRecord:
        return None


def _lines(path: Path) -> Iterator[Record]:
    for index, (number, line) in enumerate(nonblank_lines(path)):
        where = f"line {number}"
        try:
            value = decode_line(path, where, line)
            fields = _as_object(path, where, value)
            yield Record(where, index, fields, has_forms=line is not None and b'"$' in line)
        except BadRecord as error:
            yield Record(where, index, error)


def _document(path: Path) -> Iterator[Record]:
    for index, (key, value) in enumerate(json_document(path)):
        where = f"record {index + 1}"
        try:
            yield Record(where, index, _as_object(path, where, value), key)
        except BadRecord as error:
            yield Record(where, index, error)


def _parquet_rows(path: Path) -> Iterator[Record]:
    try:
        from pyarrow.parquet import ParquetFile  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise BadRecord(
            path, "file", "parquet", "reading it needs pyarrow: pip install 'stepcoder[parquet]'"
        ) from None
    try:
        batches = cast(Any, ParquetFile(path)).iter_batches(batch_size=BATCH_ROWS)
        index = 0
        for batch in batches:
            for row in batch.to_pylist():
                yield Record(f"row {index + 1}", index, row)
                index += 1
    except ValueError as error:  # pyarrow.ArrowInvalid is one
        raise BadRecord(path, "file", "parquet", " ".join(str(error).split())) from None


def _as_object(path: Path, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        reason = f"must be a JSON object, not {json_kind(value)}"
        raise BadRecord(path, where, "record", reason)
    return cast(dict[str, Any], value)


def json_kind(value: Any) -> str:
    """What to call a JSON value's type in a message."""
    return "null" if value is None else type(value).__name__

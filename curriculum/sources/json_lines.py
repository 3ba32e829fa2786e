"""JSONL files of other people, plain or gzipped, one record in memory at a time."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from curriculum.problem import BadRecord

MAX_RECORD_BYTES = 64 << 20
"""A longer line is no record of a programming problem; it is refused unread."""


def json_lines(path: Path) -> Iterator[tuple[int, "dict[str, Any] | BadRecord"]]:
    """Stream (index from 0, record) over a file's lines that are not blank.

    A line that is no JSON object comes as a `BadRecord`, and the next line follows. Raises
    `BadRecord` where the file itself cannot be read on (a truncated gzip), `OSError` where it
    cannot be opened.
    """
    index = 0
    with _opened(path) as file:
        while True:
            try:
                line = file.readline(MAX_RECORD_BYTES + 1)
                too_long = len(line) > MAX_RECORD_BYTES
                while too_long and line and not line.endswith(b"\n"):
                    line = file.readline(MAX_RECORD_BYTES)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                where = f"record {index} or later"
                raise BadRecord(path, where, "gzip", f"damaged or cut short: {error}") from None
            if not line and not too_long:
                return
            if too_long or line.strip():
                yield index, _too_long(path, index) if too_long else _record(path, index, line)
                index += 1


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _too_long(path: Path, index: int) -> BadRecord:
    limit = f"longer than {MAX_RECORD_BYTES >> 20} MiB"
    return BadRecord(path, f"record {index}", "record", limit)


def _record(path: Path, index: int, line: bytes) -> "dict[str, Any] | BadRecord":
    where = f"record {index}"
    try:
        record = json.loads(line)
    except UnicodeDecodeError as error:
        return BadRecord(path, where, "text", str(error))
    except (ValueError, RecursionError) as error:
        return BadRecord(path, where, "json", str(error))
    if not isinstance(record, dict):
        return BadRecord(path, where, "record", f"an object is wanted, not {type(record).__name__}")
    return record

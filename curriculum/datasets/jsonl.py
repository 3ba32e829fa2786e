"""JSONL files, plain or gzipped, with one line in memory at a time."""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from curriculum.errors import BadRecord

MAX_RECORD_BYTES = 64 << 20
"""A longer record is refused without reading it: no programming problem has 64 MiB."""
GZIP_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a truncated or overwritten gzip file raises."""

_OTHER_FILES = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: git lfs pull",
    b"<": "a web page or XML, not the file itself",
    codecs.BOM_UTF16_LE: "UTF-16; it must be UTF-8",
    codecs.BOM_UTF16_BE: "UTF-16; it must be UTF-8",
    b"PAR1": "parquet; its name must end in .parquet",
    b"PK": "a zip archive; unpack it",
}
"""How lines begin that are no JSON, and what they are."""


def open_binary(path: Path | str) -> BinaryIO:
    """Open a file for reading bytes, decompressed where its name or its content says gzip.

    Reading from it may raise one of `GZIP_ERRORS`.
    """
    compressed = Path(path).suffix == ".gz" or _is_gzip(path)
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else open(path, "rb")


def _is_gzip(path: Path | str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def nonblank_lines(path: Path | str) -> Iterator[tuple[int, bytes | None]]:
    """Stream (line number from 1, bytes) over the lines that are not blank.

    A byte-order mark is no content. A line longer than `MAX_RECORD_BYTES` comes as None, and the
    next one follows.

    Raises:
        BadRecord: the rest of the file cannot be read (a truncated gzip).
        OSError: the file cannot be opened.
    """
    number = 0
    with open_binary(path) as file:
        try:
            while line := file.readline(MAX_RECORD_BYTES + 1):
                number += 1
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if len(line) > MAX_RECORD_BYTES:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(MAX_RECORD_BYTES)
                    yield number, None
                elif line and not line.isspace():
                    yield number, line
        except GZIP_ERRORS as error:
            where, reason = f"line {number + 1} or later", f"damaged or cut short: {error}"
            raise BadRecord(path, where, "gzip", reason) from None


def decode_line(path: Path | str, where: str, line: bytes | None) -> Any:
    """The JSON value of one of `nonblank_lines`; `where` names the record in a `BadRecord`.

    Raises:
        BadRecord: the line is too long, not UTF-8 or not JSON.
    """
    if line is None:
        raise too_long(path, where)
    try:
        return json.loads(line)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        for begin, other in _OTHER_FILES.items():
            if line.lstrip().startswith(begin):
                raise BadRecord(path, where, "json", other) from None
        raise _undecodable(path, where, error) from None
    except (ValueError, RecursionError) as error:
        raise BadRecord(path, where, "json", json_limit(error)) from None


def _undecodable(path: Path | str, where: str, error: ValueError) -> BadRecord:
    if isinstance(error, json.JSONDecodeError):
        # A line of its own: Python's "line 2 column 1" would contradict the file's line number.
        return BadRecord(path, where, "json", f"{error.msg}, column {error.pos + 1}")
    return BadRecord(path, where, "text", str(error))


def json_limit(error: ValueError | RecursionError) -> str:
    """What Python's reader of JSON cannot take, in words for a person."""
    if isinstance(error, RecursionError):
        return str(error)
    return "an integer of more than 4,300 digits, the most that Python reads"


def too_long(path: Path | str, where: str) -> BadRecord:
    """The error for a record longer than `MAX_RECORD_BYTES`."""
    return BadRecord(path, where, "record", f"longer than {MAX_RECORD_BYTES >> 20} MiB")

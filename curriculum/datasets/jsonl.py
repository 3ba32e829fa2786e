"""Lines of a file, plain or gzipped, one in memory at a time; and what is wrong with a record."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

MAX_RECORD_BYTES = 64 << 20
"""A longer line is no record of a programming problem; it is refused unread."""
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a gzip raises that was cut short or overwritten."""


class BadRecord(ValueError):
    """A record that cannot be a problem; the message names file, record and field."""

    def __init__(self, path: Path | str, record: str, field: str, reason: str):
        self.path, self.record, self.field, self.reason = str(path), record, field, reason
        super().__init__(f"{path}: {record}: {field}: {reason}")

    def __reduce__(self):
        return BadRecord, (self.path, self.record, self.field, self.reason)


def opened(path: Path | str) -> BinaryIO:
    """A file's bytes, unpacked where its name ends in `.gz`; reading may raise `DAMAGED`."""
    packed = Path(path).suffix == ".gz"
    return cast(BinaryIO, gzip.open(path, "rb")) if packed else open(path, "rb")


def visible_lines(path: Path | str) -> Iterator[tuple[int, bytes | None]]:
    """Stream (number from 1, bytes) over the lines that are not blank.

    A line longer than `MAX_RECORD_BYTES` comes as None. Raises `BadRecord` where the file cannot be
    read on (a truncated gzip), `OSError` where it cannot be opened.
    """
    number = 0
    with opened(path) as file:
        try:
            while line := file.readline(MAX_RECORD_BYTES + 1):
                number += 1
                if len(line) > MAX_RECORD_BYTES:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(MAX_RECORD_BYTES)
                    yield number, None
                elif not line.isspace():
                    yield number, line
        except DAMAGED as error:
            where, reason = f"line {number + 1} or later", f"damaged or cut short: {error}"
            raise BadRecord(path, where, "gzip", reason) from None


def too_long(path: Path | str, where: str) -> BadRecord:
    """What to say of such a line."""
    return BadRecord(path, where, "record", f"longer than {MAX_RECORD_BYTES >> 20} MiB")

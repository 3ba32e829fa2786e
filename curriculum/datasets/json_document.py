"""One large JSON document of records, with one record in memory at a time.

A list of records, or an object from id to record, is read in chunks. Python's own JSON decoder
reads one record from the text so far; where the text ends too early, more is read.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from curriculum.datasets.jsonl import (
    GZIP_ERRORS,
    MAX_RECORD_BYTES,
    json_limit,
    open_binary,
    too_long,
)
from curriculum.errors import BadRecord

CHUNK = 1 << 20
"""Characters read at a time."""
_DELIMITERS = frozenset(",:]} \t\r\n")
_SPACE = re.compile(r"[ \t\r\n]*")
_FIRST_VALUE = re.compile(
    r'\{[ \t\r\n]*"(?:[^"\\]|\\.)*"[ \t\r\n]*:[ \t\r\n]*([^ \t\r\n])', re.DOTALL
)
"""The beginning of an object, as far as the first character of its first value."""


def json_document(path: Path) -> Iterator[tuple[str | None, Any]]:
    """Stream (id, record) over a document; the id is None in a list.

    A document that is neither a list nor an object whose first value is an object is one record
    itself.

    Raises:
        BadRecord: the file is not JSON from some record on, ends too early, continues behind the
            document, or holds a record longer than `MAX_RECORD_BYTES`.
        OSError: the file cannot be opened.
    """
    with io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", newline="") as file:
        yield from _Reader(path, file).records()


class _Reader:
    """A window on the file: `text` from `at` on is the next that was not read as a value."""

    def __init__(self, path: Path, file: TextIO):
        self.path, self.file = path, file
        self.text, self.at = "", 0
        self.index = 0
        self.decode = json.JSONDecoder().raw_decode

    def records(self) -> Iterator[tuple[str | None, Any]]:
        opening = self._peek()
        if opening == "[":
            yield from self._list()
        elif opening == "{" and self._maps_to_objects():
            yield from self._object()
        elif opening:
            yield None, self._value()
        else:
            raise BadRecord(self.path, "file", "json", "the file is empty")
        if self._peek():
            raise self._error("the document has ended, but the file continues")

    def _list(self) -> Iterator[tuple[None, Any]]:
        self.at += 1
        while self._has_value("]"):
            yield None, self._value()
            self.index += 1

    def _object(self) -> Iterator[tuple[str, Any]]:
        self.at += 1
        while self._has_value("}"):
            key = self._value()
            if not isinstance(key, str) or self._peek() != ":":
                raise self._error("expected a key and a colon")
            self.at += 1
            yield key, self._value()
            self.index += 1

    def _has_value(self, closing: str) -> bool:
        """Whether a value follows; moves behind the comma before it, or behind the end."""
        character = self._peek()
        if character == closing:
            self.at += 1
            return False
        if self.index and character != ",":
            wrong = f"expected a comma or {closing}" if character else "the file ends too early"
            raise self._error(wrong)
        self.at += self.index > 0
        return True

    def _maps_to_objects(self) -> bool:
        """Whether the object's first value is an object; does not move."""
        while True:
            match = _FIRST_VALUE.match(self.text, self.at)
            if match or not self._fill():
                return match is not None and match[1] == "{"

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self.decode(self.text, self.at)
                # A number at the end of the text may continue in the next chunk.
                if self.text[end : end + 1] in _DELIMITERS or not self._fill():
                    self.at = end
                    return value
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._fill():
                    decoding = isinstance(error, json.JSONDecodeError)
                    raise self._error(error.msg if decoding else json_limit(error)) from None

    def _peek(self) -> str:
        """The next character that is not white space; the empty string at the end of the file."""
        while True:
            space = _SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._fill():
                return ""

    def _fill(self) -> bool:
        """Drop the text that was read and read as much again as is left; False at the file's end.

        Doubling keeps the work on one long record linear: each attempt to decode it begins anew.
        """
        where = f"record {self.index + 1}"
        if len(self.text) - self.at > MAX_RECORD_BYTES:
            raise too_long(self.path, where)
        try:
            more = self.file.read(max(CHUNK, len(self.text) - self.at))
        except UnicodeDecodeError as error:
            raise BadRecord(self.path, f"{where} or later", "text", str(error)) from None
        except GZIP_ERRORS as error:
            reason = f"damaged or cut short: {error}"
            raise BadRecord(self.path, f"{where} or later", "gzip", reason) from None
        self.text, self.at = self.text[self.at :] + more, 0
        return bool(more)

    def _error(self, reason: str) -> BadRecord:
        return BadRecord(self.path, f"record {self.index + 1}", "json", reason)

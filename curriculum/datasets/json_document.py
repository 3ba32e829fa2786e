"""One large JSON document of records, a record in memory at a time.

A list of records, or an object from id to record, is read in chunks; Python's own JSON decoder
reads one record from what is there, and more is fetched where it ends too early.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from curriculum.datasets.jsonl import GZIP_ERRORS, MAX_RECORD_BYTES, open_binary, too_long
from curriculum.errors import BadRecord

CHUNK = 1 << 20
"""Characters read at a time."""
_DELIMITERS = frozenset(",:]} \t\r\n")
_SPACE = re.compile(r"[ \t\r\n]*")


def json_document(path: Path) -> Iterator[tuple[str | None, Any]]:
    """Stream (id, record) over a document; the id is None in a list.

    A document that is neither a list nor an object whose first value is an object is one record
    itself. Raises `BadRecord` where the file is no JSON from some record on, ends too early, holds
    a record longer than `MAX_RECORD_BYTES`, or goes on behind the document.
    """
    with io.TextIOWrapper(open_binary(path), encoding="utf-8", newline="") as file:
        yield from _Reader(path, file).records()


class _Reader:
    """A window on the file: the text from the next value on."""

    def __init__(self, path: Path, file: TextIO):
        self.path, self.file = path, file
        self.text, self.at, self.ended = "", 0, False
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
            raise self._bad("the document has ended, and the file goes on")

    def _list(self) -> Iterator[tuple[None, Any]]:
        self.at += 1
        while self._more("]"):
            yield None, self._value()
            self.index += 1

    def _object(self) -> Iterator[tuple[str, Any]]:
        self.at += 1
        while self._more("}"):
            key = self._value()
            if not isinstance(key, str) or self._peek() != ":":
                raise self._bad("a key and a colon are wanted")
            self.at += 1
            yield key, self._value()
            self.index += 1

    def _more(self, closing: str) -> bool:
        """Whether a value follows; steps over the comma before it, or over the end."""
        found = self._peek()
        if found == closing:
            self.at += 1
            return False
        if self.index and found != ",":
            raise self._bad(
                f"a comma or {closing} is wanted" if found else "the file ends too early"
            )
        self.at += self.index > 0
        return True

    def _maps_to_objects(self) -> bool:
        """Whether the object's first value is an object, looked at without moving on."""
        key = r'\{[ \t\r\n]*"(?:[^"\\]|\\.)*"[ \t\r\n]*:'
        first = re.compile(key + r"[ \t\r\n]*([^ \t\r\n])", re.DOTALL)
        while True:
            found = first.match(self.text, self.at)
            if found or not self._fill():
                return bool(found) and found[1] == "{"

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self.decode(self.text, self.at)
                # A number may go on in the next chunk.
                if self.text[end : end + 1] in _DELIMITERS or not self._fill():
                    self.at = end
                    return value
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._fill():
                    raise self._bad(getattr(error, "msg", str(error))) from None

    def _peek(self) -> str:
        """The next character that is no white space; nothing at the end of the file."""
        while True:
            space = _SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._fill():
                return ""

    def _fill(self) -> bool:
        """Fetch as much again as there is, and let go of what was read; False at the file's end."""
        where = f"record {self.index}"
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

    def _bad(self, reason: str) -> BadRecord:
        return BadRecord(self.path, f"record {self.index}", "json", reason)

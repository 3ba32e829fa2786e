"""Logical lines: where a line of Python ends when brackets, strings and backslashes continue it.

The rules are those of Python 3.13's tokenizer (PEP 701: an f-string's fields may hold any code, the
same quotes included). Every character is looked at a bounded number of times.
"""

import re
from typing import NamedTuple

_PLAIN = r"[^'\"()\[\]{}#\\\r\n]"
_STRING = r"(?<![fFrRtT])(?:\"(?!\"\")[^\"\\\r\n]*+\"|'(?!'')[^'\\\r\n]*+')"
_INNER = rf"[(\[{{](?:{_PLAIN}++|{_STRING})*+[)\]}}]"
OUTER = rf"[(\[{{](?:{_PLAIN}++|{_STRING}|{_INNER})*+[)\]}}]"
LINE_END = r"(?:\r\n|\r|\n)"
_COMMENT = r"(?:#[^\r\n]*+)?"
_SIMPLE = rf"(?:{_PLAIN}++|{_STRING}|{OUTER})*+"
"""What may stand on a line whose brackets, nested at most twice, are closed on it."""
SENTENCE_BEGIN = r"(?:[A-Z][\w'’]*,? [a-z]|[^\x00-\x7f]|[-*] [A-Z])"
"""How an indented line begins that may be prose."""
BODY = rf"(?:[ \t]++(?!{SENTENCE_BEGIN}){_SIMPLE}{_COMMENT}{LINE_END}|[ \t\f]*{LINE_END})++"
"""Simple indented lines, and blank ones."""
_BEGIN = (
    r"(?:async[ ]+def|def)[ ]+\w+[ ]*[(\[]|class[ ]+\w+[ ]*[(\[:]|import[ ]+\w"
    r"|from[ ]+[\w.]+[ ]+import\b"
)
"""What begins a statement in column 0 even where a bracket was never closed."""
_STATEMENT = re.compile(_BEGIN)
LINE = (
    rf"{_SIMPLE}(?:(?P<whole>{_COMMENT}(?:{LINE_END}|\Z))"
    rf"|(?<![fFrRtT])(?:'(?!'')[^'\\\r\n]*+|\"(?!\"\")[^\"\\\r\n]*+)(?:{LINE_END}|\Z)"
    rf"|(?:[(\[{{]{_SIMPLE})++{LINE_END}(?={_BEGIN}))"
)
"""A logical line on one physical line, brackets nested at most twice, which is nearly every line: a
whole one (the only one with a group), one with a string that is never closed, or one with brackets
that are not closed where the next line begins a statement."""
_STOP = re.compile(
    r"(?P<prefix>(?<!\w)[fFtTrRbBuU]{1,2}(?=[\"']))?(?P<quote>\"\"\"|'''|\"|')"
    r"|(?P<open>(?:[(\[{](?:[^\w'\"()\[\]{}#\\\r\n:]|\w++(?![\"']))*+)++)"
    r"|(?P<close>[)\]}]++)|(?P<comment>#[^\r\n]*)|(?P<joined>\\(?:\r\n|\r|\n))"
    r"|(?P<end>\r\n|\r|\n)|(?P<colon>:)"
)
_NOT_OPEN = re.compile(r"[^(\[{]+")
_STRING_PART = {
    "'": re.compile(r"[^'\\\r\n]*+(?:\\(?:\r\n|.|\n|\r)[^'\\\r\n]*+)*+", re.DOTALL),
    '"': re.compile(r"[^\"\\\r\n]*+(?:\\(?:\r\n|.|\n|\r)[^\"\\\r\n]*+)*+", re.DOTALL),
    "'''": re.compile(r"[^'\\]*+(?:(?:\\.|'(?!''))[^'\\]*+)*+", re.DOTALL),
    '"""': re.compile(r"[^\"\\]*+(?:(?:\\.|\"(?!\"\"))[^\"\\]*+)*+", re.DOTALL),
}
_FIELD_PART = {
    "'": re.compile(r"(?:[^'\\\r\n{}]|\\(?:\r\n|[^{}]|$)|\\(?=[{}])|\{\{|\}\})*+", re.DOTALL),
    '"': re.compile(r"(?:[^\"\\\r\n{}]|\\(?:\r\n|[^{}]|$)|\\(?=[{}])|\{\{|\}\})*+", re.DOTALL),
    "'''": re.compile(r"(?:[^'\\{}]|\\(?:[^{}]|$)|\\(?=[{}])|'(?!'')|\{\{|\}\})*+", re.DOTALL),
    '"""': re.compile(r"(?:[^\"\\{}]|\\(?:[^{}]|$)|\\(?=[{}])|\"(?!\"\")|\{\{|\}\})*+", re.DOTALL),
}
_FORMAT = re.compile(r"[^{}'\"\r\n]*+")


class LogicalLine(NamedTuple):
    """Where a logical line ends, and whether its brackets and strings are closed."""

    end: int
    """Offset behind its line end."""
    closed: bool
    """Whether every bracket and string in it is closed, and no backslash ends the text."""
    open_string: str = ""
    """The quotes of a string over several lines that never ends."""


def logical_line(text: str, begin: int, end: int) -> LogicalLine:
    """The logical line of `text[:end]` that begins at `begin`."""
    return _Scan(text, end).line(begin)


class _Scan:
    """A pass over one logical line.

    `stack` holds what is open, innermost last: a bracket's character, or the quotes of an f-string
    whose field is being read.
    """

    def __init__(self, text: str, end: int) -> None:
        self._text = text
        self._end = end
        self._stack: list[str] = []
        self._closed = True

    def line(self, at: int) -> LogicalLine:
        """Read from `at` to the end of the logical line."""
        text, end, stack = self._text, self._end, self._stack
        while (stop := _STOP.search(text, at, end)) is not None:
            at = stop.end()
            kind = stop.lastgroup
            if kind == "quote":
                quotes = stop["quote"]
                prefix = (stop["prefix"] or "").lower()
                if "f" in prefix or "t" in prefix:
                    at = self._field_string(at, quotes)
                else:
                    at, unended = self._string(at, quotes)
                    if unended:
                        return LogicalLine(end, False, quotes)
            elif kind == "open":
                stack += _NOT_OPEN.sub("", stop["open"])
            elif kind == "close":
                at = self._close(stop.start(), at)
            elif kind == "colon":
                if stack and stack[-1][0] in "\"'":  # a format: text again, up to the field's end
                    at = self._format(at)
            elif kind == "joined":
                if at >= end:
                    return LogicalLine(end, False)
            elif kind == "end":
                if not stack:
                    return LogicalLine(at, self._closed)
                if _STATEMENT.match(text, at, end):
                    return LogicalLine(at, False)
        return LogicalLine(end, self._closed and not stack and text[end - 1 : end] != "\\")

    def _string(self, at: int, quotes: str) -> tuple[int, bool]:
        """The end of a plain string; and whether it is one over lines that never ends."""
        part = _STRING_PART[quotes].match(self._text, at, self._end)
        at = part.end() if part else at
        if self._text.startswith(quotes, at, self._end):
            return at + len(quotes), False
        self._closed = False
        return at, len(quotes) == 3

    def _field_string(self, at: int, quotes: str) -> int:
        """Read an f-string's text up to its end or to its next field."""
        part = _FIELD_PART[quotes].match(self._text, at, self._end)
        at = part.end() if part else at
        if self._text.startswith(quotes, at, self._end):
            return at + len(quotes)
        if self._text.startswith("{", at, self._end):
            self._stack.append(quotes)
            return at + 1
        self._closed = False
        return min(self._end, at + self._text.startswith("}", at, self._end))

    def _format(self, at: int) -> int:
        """Read a field's format up to a field in it or to its own end."""
        found = _FORMAT.match(self._text, at, self._end)
        at = found.end() if found else at
        if self._text.startswith("{", at, self._end):
            self._stack.append("{")
            return at + 1
        return at

    def _close(self, at: int, end: int) -> int:
        """Read closing brackets up to `end`: of brackets, of a field, or of nothing."""
        stack = self._stack
        for character in self._text[at:end]:
            at += 1
            opened = stack.pop() if stack else ""
            if opened and opened[0] in "\"'":
                if character == "}":
                    return self._field_string(at, opened)
                self._closed = False
            elif opened + character not in ("()", "[]", "{}"):
                self._closed = False
        return at

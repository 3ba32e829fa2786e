"""The statements of a stretch of text that may hold code and prose, found without a parser.

A statement begins in column 0 and reaches to the next one: the indented lines below it, `else:`
and its like, and the definition below a decorator belong to it. Lines of prose are statements of
their own kind. Comments and blank lines between statements belong to none.
"""

import re
from dataclasses import dataclass

from curriculum.answer.python.prose import is_prose
from curriculum.answer.python.scanner import (
    LINE_END,
    MOST_LINES,
    OUTER,
    SIMPLE_BODY,
    logical_line,
)

_SPACE = re.compile(r"(?:[ \t\f]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))*+(?:[ \t\f]*(?:#[^\r\n]*)?\Z)?")
_SPACE_BEGIN = ("", " ", "\t", "\f", "\r", "\n", "#")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_TAG = re.compile(r"(?:</?[A-Za-z][\w:-]*>|\[/?[A-Z]{3,}\])[ \t]*(?=\S)|```+[ \t]*")
_ALIKE = re.compile(
    rf"(?:print{OUTER}[ \t]*(?:\r\n|\n)){{2,}}|(?:[\w.+-]{{1,12}}(?:\r\n|\n)){{4,}}"
)
"""Lines that a looping model repeats make one statement: prints and lone names."""
_LONGEST_NAME = 14
"""Characters of such a name's line."""
_ROWS = re.compile(r"(?:-?\d[-\d.]* +-?[-\d. ]+(?:\r\n|\r|\n|\Z))+")
"""Rows of numbers: a sample of input or output."""
_HEAD = re.compile(
    r"(?P<decorator>@)|(?P<continued>(?:else|elif|except|finally)\b)"
    r"|(?P<compound>(?:async[ ]+)?(?:def|for|with)\b|class\b|if\b|while\b|try\b|match\b)"
)
_HEAD_BEGIN = frozenset("@eacdfimtw")
_SURE = re.compile(
    rf"[A-Za-z_][\w.]*(?:{OUTER}[ \t]*(?:#[^\r\n]*)?{LINE_END}|[ ]?[-+*/%|&^]?=[^=])"
    r"|def[ ]+\w+\(|class[ ]+\w+[:(]|import[ ]+[\w.]+[ ]*(?:,|as\b|[\r\n])"
    r"|from[ ]+[\w.]+[ ]+import\b"
    r"|(?:if|while|for|match)[ ]+(?:not[ ]+)?[\w.]+"
    r"(?:[ ]*(?:[<>=!%+*/-]|(?:in|and|or|is)\b)[^\r\n]*)?:[ \t]*[\r\n]"
    r"|assert[ ]+(?:not[ ]+)?[\w.]+[(\[]|try:|@[\w.]+|\"\"\"|'''"
)
"""How a line of code begins that needs no closer look."""
_SENTENCE_BEGIN = re.compile(r"[ \t]++(?:[A-Z][\w'’]*,? [a-z]|[^\x00-\x7f]|[-*] [A-Z])")


@dataclass(slots=True)
class Statement:
    """A stretch of text that belongs together."""

    begin: int
    """Offset of its first character; of its first decorator, if it has any."""
    end: int
    """Offset behind its last line."""
    first_end: int = 0
    """Where its first line ends, if all others repeat it."""
    prose: bool = False
    """Whether it is text, not code."""
    closed: bool = True
    """Whether its brackets and strings are closed, and its header has a body."""
    bare: bool = False
    """Whether it ends in a header that has no body."""
    body: bool = False
    """Whether indented lines belong to it."""


def split(text: str, begin: int = 0) -> list[Statement]:
    """The statements of `text` from `begin` on, in order."""
    return _Splitter(text).split(begin)


def open_string(code: str) -> str:
    """The quotes of the string over several lines that the code ends in, if it ends in one."""
    splitter = _Splitter(code)
    splitter.split(0)
    return splitter.open_string


class _Splitter:
    def __init__(self, text: str) -> None:
        self._text = text
        self._statements: list[Statement] = []
        self._decorated = False
        self.open_string = ""

    def split(self, at: int) -> list[Statement]:
        text, end = self._text, len(self._text)
        while True:
            if text[at : at + 1] in _SPACE_BEGIN:
                space = _SPACE.match(text, at)
                at = space.end() if space else at
                if at >= end:
                    break
            at = self._indented(at) if text[at] in " \t\f" else self._top_level(at)
        self._finish()
        return self._statements

    def _top_level(self, at: int) -> int:
        """Read a line in column 0; returns the offset behind it."""
        text = self._text
        statements = self._statements
        kind = self._head(at)
        last = statements[-1] if statements else None
        if not self._decorated and last is not None and not last.prose and kind == "continued":
            end, closed = self._line(at)
            last.end, last.closed, last.body = end, last.closed and closed, False
            return end
        if not _SURE.match(text, at):
            tag = _TAG.match(text, at) or _ROWS.match(text, at)
            if tag is not None:
                return self._add_prose(at, tag.end())
            line_end = _LINE.match(text, at).end()  # type: ignore[union-attr]
            if is_prose(text[at:line_end]):
                return self._add_prose(at, self._alike(at, line_end))
        line = self._line(at)
        if self._decorated and last is not None:
            last.end, last.closed = line[0], last.closed and line[1]
        else:
            self._finish()
            end = self._alike(at, line[0]) if kind is None else line[0]
            statements.append(Statement(at, end, line[0] if end > line[0] else 0, closed=line[1]))
            self._decorated = kind == "decorator"
            return end
        self._decorated = kind == "decorator"
        return line[0]

    def _indented(self, at: int) -> int:
        """Read an indented line, and those like it; returns the offset behind them."""
        text, statements = self._text, self._statements
        if statements and not statements[-1].prose and not _SENTENCE_BEGIN.match(text, at):
            lines = SIMPLE_BODY.match(text, at)
            if lines is not None and lines.end() > at:
                found = _SENTENCE_LINE.search(text, at, lines.end())
                stop = found.start() if found and is_prose(found[0].strip()) else lines.end()
                if stop > at:
                    statements[-1].end, statements[-1].body = stop, True
                    return stop
        line_end = _LINE.match(text, at).end()  # type: ignore[union-attr]
        if statements and statements[-1].prose:
            return self._add_prose(at, line_end)
        if _SENTENCE_BEGIN.match(text, at) and is_prose(text[at:line_end].strip()):
            return self._add_prose(at, line_end)
        end, closed = self._line(at)
        if not statements:
            statements.append(Statement(at, end, closed=False, body=True))
            return end
        last = statements[-1]
        last.end, last.closed, last.body = end, last.closed and closed, True
        return end

    def _alike(self, begin: int, end: int) -> int:
        """The end of the lines that begin with the given one and repeat it."""
        line = self._text[begin:end]
        if len(line) <= _LONGEST_NAME or line.startswith("print"):
            alike = _ALIKE.match(self._text, begin)
            if alike and alike.end() > end:
                end = alike.end()
                line = self._text[begin:end]
        while self._text.startswith(line, end):
            end += len(line)
        return end

    def _head(self, at: int) -> str | None:
        """What begins at an offset: a decorator, a compound statement, its continuation."""
        head = _HEAD.match(self._text, at) if self._text[at] in _HEAD_BEGIN else None
        return head.lastgroup if head else None

    def _line(self, at: int) -> tuple[int, bool]:
        """The end of a logical line, and whether its brackets and strings are closed."""
        found = MOST_LINES.match(self._text, at)
        if found is not None and found.end() > at:
            return found.end(), found.lastgroup is not None
        line = logical_line(self._text, at, len(self._text))
        self.open_string = line.open_string
        return line.end, line.closed

    def _add_prose(self, begin: int, end: int) -> int:
        self._finish()
        self._decorated = False
        last = self._statements[-1] if self._statements else None
        if last is not None and last.prose and not self._text[last.end : begin].strip():
            last.end = end
        else:
            self._statements.append(Statement(begin, end, prose=True))
        return end

    def _finish(self) -> None:
        """The last statement is whole: is its header followed by a body?"""
        if not self._statements or self._statements[-1].prose:
            return
        last = self._statements[-1]
        if self._decorated:
            last.closed = False
        elif last.closed and (last.body or self._head(last.begin)):
            last.bare = _ends_in_header(self._text, last)
            last.closed = not last.bare


def last_line(text: str, statement: Statement) -> tuple[int, int]:
    """Where the last line of a statement begins and ends that is more than a comment."""
    first, end = statement.begin, statement.end
    while end > first:
        filled = first + len(text[first:end].rstrip())
        line_end = text.find("\n", filled, end)
        end = line_end + 1 if line_end >= 0 else end
        begin = max(text.rfind("\n", first, filled) + 1, first)
        line = text[begin:filled].lstrip()
        if line and (line[0] != "#" or '"""' in line or "'''" in line):  # a string's end
            return begin, end
        end = begin
    return first, statement.end


def _ends_in_header(text: str, statement: Statement) -> bool:
    """Whether the last line of a statement ends in a colon, so that a body must follow."""
    if text.find("#", statement.begin, statement.end) < 0:
        colon = text.rfind(":", statement.begin, statement.end)
        return colon >= 0 and not text[colon + 1 : statement.end].strip()
    begin, end = last_line(text, statement)
    line = text[begin:end].strip()
    return line.endswith(":") or ("#" in line and line.partition("#")[0].rstrip().endswith(":"))


_SENTENCE_LINE = re.compile(r"^[ \t]++(?:[A-Z][\w'’]*,? [a-z]|[^\x00-\x7f])[^\r\n]*", re.MULTILINE)

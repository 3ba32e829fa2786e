"""The statements of a stretch of text that may hold code and prose, found without a parser.

A statement begins in column 0 and reaches to the next one: the indented lines below it, `else:`
and its like, and the definition below a decorator belong to it. Lines of prose are statements of
their own kind. Comments and blank lines between statements belong to none.
"""

import re
from dataclasses import dataclass
from typing import Any

from curriculum.answer.python.prose import is_prose
from curriculum.answer.python.scanner import (
    BODY,
    LINE,
    LINE_END,
    OUTER,
    SENTENCE_BEGIN,
    logical_line,
)

_SPACE_LINES = rf"(?:[ \t\f]*(?:#[^\r\n]*)?{LINE_END})*+"
_SPACE = re.compile(rf"{_SPACE_LINES}(?:[ \t\f]*(?:#[^\r\n]*)?\Z)?")
_SPACE_BEGIN = ("", " ", "\t", "\f", "\r", "\n", "#")
_PHYSICAL_LINE = re.compile(rf"[^\r\n]*(?:{LINE_END}|\Z)")
_TAG = re.compile(
    r"```+[ \t]*(?:(?:python|py)3?[ \t]+)?"
    r"|(?:(?:</?[A-Za-z][\w:-]*(?:[ ][\w-]+=[\"'][^\"'\r\n]{0,100}[\"'])*>|\[/?[A-Z]{3,}\])[ \t]*)+"
    r"(?=(?P<rest>\S[^\r\n]*))"
    r"|(?:`{1,2}|[A-Z][A-Za-z ]{0,30}:[ \t]+)(?=def[ ]\w+\(|class[ ]\w+[(:])"
)
"""What may stand before code on its line: a fence, tags, a label."""
_CODE = re.compile(r"[=(:]|(?:import|from)\b")
_CLOSERS = re.compile(r"[ \t]*(?:(?:</[A-Za-z][\w:-]*>)+|`+)\s*\Z")
"""What may stand behind code on its line: closing tags, or a fence."""
_NAMES = re.compile(r"(?:[\w.+-]{1,12}(?:\r\n|\n)){4,}")
"""Lines of lone names, as a looping model writes them, make one statement."""
_ROWS = re.compile(rf"(?:-?\d[-\d.]* +-?[-\d. ]+(?:{LINE_END}|\Z))+")
"""Rows of numbers: a sample of input or output."""
_CONTINUED = frozenset(("else", "elif", "except", "finally"))
_HEAD = (
    r"@|(?:else|elif|except|finally|class|if|while|try|match)\b|(?:async[ ]+)?(?:def|for|with)\b"
)
"""How a compound statement begins, its continuation, and a decorator."""
_SURE = (
    rf"[A-Za-z_][\w.]*+(?:{OUTER}[ \t]*(?:#[^\r\n]*)?(?:{LINE_END}|\Z)|[ ]?[-+*/%|&^]?=[^=])"
    r"|def[ ]+\w+\(|class[ ]+\w+[:(]|import[ ]+[\w.]+[ ]*(?:,|as\b|[\r\n])"
    r"|from[ ]+[\w.]+[ ]+import\b"
    r"|(?:if|while|for|match)[ ]+(?:not[ ]+)?[\w.]+"
    r"(?:[ ]*(?:[<>=!%+*/-]|(?:in|and|or|is)\b)[^\r\n]*)?:[ \t]*[\r\n]"
    r"|assert[ ]+(?:not[ ]+)?[\w.]+[(\[]|try:|@[\w.]+|\"\"\"|'''"
)
"""How a line of code begins that needs no closer look."""
_BEGIN = re.compile(
    rf"(?:@[\w.]+(?:{OUTER})?[ \t]*{LINE_END}(?=@))*+"
    rf"(?=(?P<head>{_HEAD})?+)(?=(?P<sure>{_SURE})?+)"
    rf"(?(sure)(?P<line>{LINE})?+(?(head)|(?P=line)*+)"
    rf"(?(whole)(?P<body>{_SPACE_LINES}{BODY})?+))"
)
"""What begins in column 0: the head of a statement; and if it is surely code, its first line as far
as that is simple, what repeats that line, and its body as far as that is simple."""
_LINE = re.compile(LINE)
_BODY = re.compile(BODY)
_SENTENCE_BEGIN = re.compile(rf"[ \t]++{SENTENCE_BEGIN}")


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
        """Whether the last line is a decorator."""
        self._compound = False
        """Whether the last statement begins as a compound one."""
        self.open_string = ""

    def split(self, at: int) -> list[Statement]:
        text, end = self._text, len(self._text)
        while True:
            if text[at : at + 1] == "\f":  # behind which a line's indentation begins anew
                at += 1
            if text[at : at + 1] in _SPACE_BEGIN:
                space = _SPACE.match(text, at)
                at = space.end() if space else at
                if at >= end:
                    break
            at = self._indented(at) if text[at] in " \t\f" else self._top_level(at)
        self._finish()
        return self._statements

    def _top_level(self, at: int) -> int:
        """Read a line in column 0, of simple code its body too; returns the offset behind it."""
        found: Any = _BEGIN.match(self._text, at)  # which matches the empty text
        head, sure, whole = found.group("head", "sure", "whole")
        last = self._statements[-1] if self._statements else None
        goes_on = head in _CONTINUED and last is not None and not last.prose
        if sure is None and (self._decorated or not goes_on):
            prose = self._prose(at)
            if prose > at:
                return self._add_prose(at, prose)
        end, first_end, closed = found.end(), found.end("line"), whole is not None
        body = closed and found.end("body") > 0
        joined = self._decorated or goes_on
        if first_end < 0:
            first_end, closed = self._line(end)
            end = first_end if head or joined else self._repeated(at, first_end)
        if joined and last is not None:
            last.end, last.closed, last.body = end, last.closed and closed, body
        else:
            self._finish()
            if body or first_end == end:
                first_end = 0
            self._statements.append(Statement(at, end, first_end, False, closed, False, body))
            self._compound = head is not None
        self._decorated = head == "@"
        return end

    def _prose(self, at: int) -> int:
        """The end of the prose that a line in column 0 begins with; the offset if it is code."""
        tag = _TAG.match(self._text, at)
        if tag is not None and (tag["rest"] is None or _is_code(tag["rest"])):
            return tag.end()
        rows = _ROWS.match(self._text, at)
        if rows is not None:
            return rows.end()
        end = _PHYSICAL_LINE.match(self._text, at).end()  # type: ignore[union-attr]
        return self._repeated(at, end) if is_prose(self._text[at:end]) else at

    def _indented(self, at: int) -> int:
        """Read an indented line, or simple ones at once; returns the offset behind them."""
        text, last = self._text, self._statements[-1] if self._statements else None
        if last is not None and not last.prose:
            simple = _BODY.match(text, at)
            if simple is not None:
                last.end, last.body = simple.end(), True
                return last.end
        end = _PHYSICAL_LINE.match(text, at).end()  # type: ignore[union-attr]
        if (last is not None and last.prose) or (
            _SENTENCE_BEGIN.match(text, at) and is_prose(text[at:end].strip())
        ):
            return self._add_prose(at, end)
        end, closed = self._line(at)
        if last is None:
            self._statements.append(Statement(at, end, closed=False, body=True))
        else:
            last.end, last.closed, last.body = end, last.closed and closed, True
        return end

    def _repeated(self, begin: int, end: int) -> int:
        """The end of the lines that repeat the given one, or that are lone names like it."""
        names = _NAMES.match(self._text, begin)
        if names is not None:
            return names.end()
        line = self._text[begin:end]
        while self._text.startswith(line, end):
            end += len(line)
        return end

    def _line(self, at: int) -> tuple[int, bool]:
        """The end of a logical line, and whether its brackets and strings are closed."""
        simple = _LINE.match(self._text, at)
        if simple is not None:
            return simple.end(), simple["whole"] is not None
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
        elif last.closed and (last.body or self._compound):
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


def before_closers(text: str, statement: Statement) -> int:
    """Where the closing tags or the fence begin that stand behind a statement on its last line.

    The statement's end where there are none.
    """
    begin, end = last_line(text, statement)
    if not statement.closed or text[begin:end].rstrip()[-1:] not in ("`", ">"):
        return statement.end
    found = _CLOSERS.search(text, begin, end)
    if found is None or found.start() == begin or "#" in text[begin:end]:
        return statement.end
    return found.start()


def _is_code(line: str) -> bool:
    """Whether what stands behind a tag on its line is code."""
    return _CODE.search(line) is not None and not is_prose(line)


def _ends_in_header(text: str, statement: Statement) -> bool:
    """Whether the last line of a statement ends in a colon, so that a body must follow."""
    if text.find("#", statement.begin, statement.end) < 0:
        colon = text.rfind(":", statement.begin, statement.end)
        return colon >= 0 and not text[colon + 1 : statement.end].strip()
    begin, end = last_line(text, statement)
    line = text[begin:end].strip()
    return line.endswith(":") or ("#" in line and line.partition("#")[0].rstrip().endswith(":"))

"""Code fences: the blocks of code in an answer, and the text between them.

CommonMark's rules for fences (backticks and tildes, any length of three or more, indented in lists
and quotes, a block that is never closed ends with the text), widened by what models write: a fence
that opens behind text on the same line, code on the opening fence's line, a fence that closes on
the code's last line or is followed by text, and a block that the next opening fence ends.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Literal, NamedTuple

from curriculum.answer.markdown.languages import DOCUMENTS, fence_word, is_language, is_python
from curriculum.answer.python.statements import open_string

_FENCE = re.compile(
    r"(?P<line>"
    r"(?:(?P<lead>[ \t]*+(?:(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t]))[ \t]*+)*+)"
    r"|(?P<text>(?:(?!```|~~~)[^\r\n])++))"
    r"(?P<mark>`{3,}|~{3,})(?P<rest>[^\r\n]*+)(?:\r\n|\r|\n|\Z))"
    r"(?:(?P=line){2})*+"  # a looping model: two more of the same line change nothing
)
_NEXT = re.compile(
    r"(?<![^\n])(?P<line>(?P<lead>[ \t>]*+)(?P<mark>`{3,}|~{3,})(?P<rest>\w*)\n)(?!(?P=line){2})"
    r"|(?P<other>`{3,}|~{3,})"
)
"""The next fence: one alone on its line but for quotation marks and a word behind it, as nearly
every one is, or any other."""
_MOST_LOOKS = 8
"""Fences of an answer that are compared with the strings of the code around them."""
_QUOTES = re.compile(
    r"^(?P<quotes>'''|\"\"\")(?P<body>(?:python|py)[\d.]*[ \t]*\r?$.*?)"
    r"(?:^(?P=quotes)(?=[ \t]*\r?$)|\Z)",
    re.MULTILINE | re.DOTALL,
)
"""Three quotes and Python's name on a line, as some models write a fence, up to its end."""
_RUN = re.compile(r"`{3,}|~{3,}")
_CODE_ON_LINE = re.compile(
    r"[ \t]*(?:(?:python|py)[\d.]*[ \t]+)?"
    r"(?=(?:async[ ]+)?def[ ]\w|class[ ]\w|import[ ]\w|from[ ][\w.]+[ ]import|@\w|#)",
    re.IGNORECASE,
)


class Piece(NamedTuple):
    """A stretch of the answer: the text of a block, or what stands outside every block."""

    begin: int
    """Offset of its first character."""
    end: int
    """Offset behind its last character."""
    kind: Literal["text", "block"]
    """text: outside every block."""
    python: bool = False
    """Of a block: whether it may hold Python."""
    word: str = ""
    """Of a block: the language word of its fence, in lower case."""
    quoted: bool = False
    """Of a block: whether it stands in a quotation, each line behind a `>`."""
    closed: bool = True
    """Of a block: whether a fence closes it."""


class Fence(NamedTuple):
    """One line with a fence on it."""

    line: int
    """Where the line begins."""
    begin: int
    """Where the fence's characters begin."""
    end: int
    """Behind them."""
    line_end: int
    """Behind the line's end."""
    mark: str
    """The fence's characters."""
    lead: str
    """The line before them."""
    rest: str
    """The line behind them, without white space around."""
    at_start: bool
    """Whether nothing but indentation, quotation and list marks stands before it."""
    alone: bool
    """Whether the line holds an odd number of fences, so that one of them has no partner."""


def find_fences(text: str, begin: int, end: int) -> Iterator[Fence]:
    """Every line between two offsets with a fence on it."""
    at = begin
    while (following := _NEXT.search(text, at, end)) is not None:
        lead, mark, rest = following.group("lead", "mark", "rest")
        if mark is not None:
            line, at = following.span()
            begin = line + len(lead)
            yield Fence(line, begin, begin + len(mark), at, mark, lead, rest, True, True)
            continue
        line = max(text.rfind("\n", at, following.start()) + 1, at)
        found = _FENCE.match(text, line, end)
        if found is not None:
            at = found.end()
            yield _fence(found)
        else:  # behind a carriage return that ends no line
            at = text.find("\n", following.end(), end) + 1 or end


def _fence(found: re.Match[str]) -> Fence:
    line, line_end = found.span()
    begin, end = found.span("mark")
    lead, mark, rest = found.group("lead", "mark", "rest")
    at_start, more = lead is not None, 0
    if rest:
        for run in _RUN.finditer(found.string, end, end + len(rest)):
            more += 1
            if not at_start:  # the last one may open or close a block
                begin, end = run.span()
        if more and not at_start:
            mark, rest = found.string[begin:end], found.string[end : found.end("rest")]
        rest = rest.strip()
    if not at_start:
        lead = found.string[line:begin]
    return Fence(line, begin, end, line_end, mark, lead, rest, at_start, more % 2 == 0)


def read_pieces(text: str, begin: int, end: int, in_block: bool = False) -> list[Piece]:
    """Text and blocks between two offsets, in order; between them stand the fences.

    Args:
        text: the completion, behind the code that the prompt has given.
        begin: where to start.
        end: where to end.
        in_block: whether the prompt has opened a block of Python.
    """
    return _Reader(text, begin, end).read(in_block)


def with_fences(text: str) -> str:
    """The text, of the same length, with backticks for the quotes that are meant as fences."""
    if "'''py" not in text and '"""py' not in text:
        return text
    return _QUOTES.sub(lambda found: f"```{found['body']}```"[: found.end() - found.start()], text)


class _Reader:
    def __init__(self, text: str, begin: int, end: int) -> None:
        self._text = text
        self._begin, self._end = begin, end
        self._looks = 0
        # Those that a string over several lines may begin with; none once enough was looked at.
        self._long_quotes = [q for q in ('"""', "'''") if text.find(q, begin, end) >= 0]

    def read(self, in_block: bool) -> list[Piece]:
        """Every piece, in order."""
        found: list[Piece] = []
        at = self._begin
        wrapper: Fence | None = None  # of a document whose own blocks are read
        opener = Fence(at, at, at, at, "```", "", "", True, True) if in_block else None
        word, python, quoted = "", True, False  # of the block that the opener opens
        for fence in find_fences(self._text, self._begin, self._end):
            if opener is None:
                if wrapper is not None and self._closed(fence, wrapper) is not None:
                    if at < fence.line:
                        found.append(Piece(at, fence.line, "text"))
                    at, wrapper = fence.line_end, None
                    continue
                content = self._opened(fence)
                if content is None or fence.begin < at:
                    continue
                if self._long_quotes and self._in_string(at, fence):
                    continue
                start = fence.line if fence.at_start else fence.begin
                if at < start:
                    found.append(Piece(at, start, "text"))
            else:
                if fence.begin < at:
                    continue
                end, content = self._closed(fence, opener), None
                if fence.rest and _opens(fence):
                    content = self._opened(fence)
                    if end is None and word in DOCUMENTS and is_python(fence_word(fence.rest)):
                        end, wrapper = fence.line, opener
                if end is None:
                    continue
                if python and self._long_quotes and self._in_string(at, fence):
                    continue
                found.append(Piece(at, end, "block", python, word, quoted))
            if content is None:
                at = fence.end if fence.rest else fence.line_end
                opener = None
            else:
                word = fence_word(fence.rest) if fence.rest and content == fence.line_end else ""
                at, opener, python = content, fence, not word or is_python(word)
                quoted = fence.at_start and ">" in fence.lead
        if opener is not None:
            found.append(Piece(at, self._end, "block", python, word, quoted, closed=False))
        elif at < self._end:
            found.append(Piece(at, self._end, "text"))
        return found

    def _in_string(self, begin: int, fence: Fence) -> bool:
        """Whether a fence stands in a string of the code that begins at an offset.

        The string must end before the next fence that opens a block of a named language, and its
        code is looked at a few times only: a string that is never closed holds no fence.
        """
        text = self._text
        if not any(text.count(quotes, begin, fence.begin) % 2 for quotes in self._long_quotes):
            return False
        self._looks += 1
        if self._looks == _MOST_LOOKS:
            self._long_quotes = []
        opened = open_string(text[begin : fence.begin])
        if not opened:
            return False
        later = islice(find_fences(text, fence.line_end, self._end), 50)
        limit = next((each.line for each in later if _opens(each)), self._end)
        return text.find(opened, fence.end, limit) >= 0

    def _opened(self, fence: Fence) -> int | None:
        """Where the block's text begins if the fence opens one."""
        if fence.at_start and fence.alone:
            if not fence.rest:
                return fence.line_end
            code = _CODE_ON_LINE.match(self._text, fence.end, fence.line_end)
            return code.end() if code else fence.line_end
        word = fence_word(fence.rest)
        lone = not fence.rest or (fence.rest == fence.rest.split()[0] and is_language(word))
        return fence.line_end if fence.alone and fence.mark[0] == "`" and lone else None

    def _closed(self, fence: Fence, opener: Fence) -> int | None:
        """Where the block's text ends if the fence ends it."""
        if fence.mark[0] != opener.mark[0] or len(fence.mark) < len(opener.mark):
            return None
        if fence.at_start:
            if not fence.lead:
                return fence.line
            if fence.lead.strip(" \t>"):
                return None
            deeper = _width(fence.lead) > _width(opener.lead if opener.at_start else "") + 3
            return None if deeper else fence.line
        before = fence.lead.strip()
        code = before.strip("#\"' ") and not before.startswith("#")
        return fence.begin if code and not fence.rest and fence.alone else None


def _opens(fence: Fence) -> bool:
    """Whether a fence inside a block opens the next one: a language stands behind it."""
    if not (fence.rest and fence.at_start and fence.alone):
        return False
    return fence.rest == fence.rest.split()[0] or is_language(fence_word(fence.rest))


def _width(lead: str) -> int:
    return len(lead.replace("\t", "    "))

"""The code of a block as Python sees it, and where each character of it stands in the text."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from curriculum.answer.markdown.spans import Span


@dataclass(frozen=True, slots=True)
class View:
    """Code, and its place in the text.

    `starts` and `places` say, for some offsets in the code, in ascending order, where they stand in
    the text; what lies between them follows without gaps.
    """

    code: str
    """What Python sees."""
    starts: list[int]
    """Offsets in `code`."""
    places: list[int]
    """The same places in the text."""

    def place(self, offset: int) -> int:
        """Where a character of the code stands in the text."""
        at = bisect_right(self.starts, offset) - 1
        return self.places[at] + offset - self.starts[at]

    def end_place(self, offset: int) -> int:
        """Where a stretch of the code that ends at an offset ends in the text."""
        return self.place(offset - 1) + 1 if offset else self.places[0]

    def removed(self, begin: int, end: int) -> list[Span]:
        """The indentation that was removed inside a stretch of the code, as spans of the text."""
        first, last = bisect_right(self.starts, begin), bisect_right(self.starts, end - 1)
        spans: list[Span] = []
        for at in range(first, last):
            behind = self.places[at - 1] + self.starts[at] - self.starts[at - 1]
            if behind < self.places[at]:
                spans.append(Span(behind, self.places[at], "indentation"))
        return spans


def plain_view(text: str, begin: int, end: int, _quoted: bool = False) -> View:
    """A stretch of the text as it is."""
    return View(text[begin:end], [0], [begin])


def block_view(text: str, begin: int, end: int, quoted: bool = False) -> View:
    """A block without its container: the marks of a quotation, the indentation of its first line.

    Of a line that is indented less, all of its indentation is removed (CommonMark, section 4.5).
    """
    block = text[begin:end]
    mark = r"(?:[ \t]*>[ ]?)?" if quoted else ""
    blank = rf"(?:{mark}[ \t]*(?:\r\n|\r|\n))*"
    first = re.match(rf"{blank}{mark}(?P<lead>[ \t]*)", block)
    width = len(first["lead"]) if first else 0
    if not width and not quoted:
        return plain_view(text, begin, end)
    lead = re.compile(rf"^{mark}[ \t]{{0,{width}}}", re.MULTILINE)
    leads = [found.span() for found in lead.finditer(block)]
    parts: list[str] = []
    starts: list[int] = []
    places: list[int] = []
    length = 0
    for (_, start), (stop, _) in pairwise([*leads, (len(block), 0)]):
        starts.append(length)
        places.append(begin + start)
        parts.append(block[start:stop])
        length += stop - start
    return View("".join(parts), starts, places)

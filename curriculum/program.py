"""Programs: given code and a stretch of a completion as one source."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Rule = Literal[
    "reasoning",
    "end marker",
    "fence",
    "prose",
    "other language",
    "other block",
    "language word",
    "indentation",
    "driver",
    "repetition",
    "unfinished",
]
"""Why a part of a completion is not in its program:

- `reasoning`: between reasoning markers, or before a closing one;
- `end marker`: an end-of-text token written as text, and everything behind it;
- `fence`: the lines that open and close blocks;
- `prose`: text around the code;
- `other language`: a block in another language;
- `other block`: a block, or code without a fence, that is not the answer;
- `language word`: the language's name on a line of its own above the code;
- `indentation`: of a list item or a quotation that the block stands in;
- `driver`: statements at the end that try the function or call it with what stdin holds;
- `repetition`: a second definition of the function, and everything behind it;
- `unfinished`: a statement that the end of the completion breaks off.
"""


class Cut(NamedTuple):
    """A part of a completion that is not in its program."""

    begin: int
    """Byte offset in the completion."""
    end: int
    """Byte offset in the completion, behind the last byte."""
    rule: Rule
    """Why it is left out."""


@dataclass(frozen=True)
class Program:
    """A whole program, and which stretch of the policy's text is in it."""

    source: str
    """Preamble, prefix, and the completion's bytes from `begin` to `end`, without the indentation
    that `cuts` names. The prefix is left out where the policy wrote the whole program anew."""
    completion_start: int
    """Byte offset in `source.encode()` at which the completion's stretch begins."""
    begin: int
    """Byte offset in the completion; what stands before it is not part of the program."""
    end: int
    """Byte offset in the completion; what stands from it on is not part of the program."""
    cuts: tuple[Cut, ...] = ()
    """What is left out of the completion, in order: with the program, every byte of it once."""

    @property
    def unfinished(self) -> bool:
        """Whether the completion breaks off within a statement, which is left out."""
        return any(cut.rule == "unfinished" for cut in self.cuts)

    def source_offset(self, offset: int) -> int | None:
        """Byte offset in the source of a byte of the completion; None for one that is left out."""
        if not self.begin <= offset < self.end:
            return None
        inside = self._inside
        at = bisect_right(inside, offset, key=lambda cut: cut.begin)
        if at and offset < inside[at - 1].end:
            return None
        removed = sum(cut.end - cut.begin for cut in inside[:at])
        return self.completion_start + offset - self.begin - removed

    def kept_lengths(self, lengths: Sequence[int]) -> list[int]:
        """Bytes that each token has without the indentation that is cut inside the stretch.

        Args:
            lengths: bytes of the completion that each token adds.
        """
        inside = self._inside
        if not inside:
            return list(lengths)
        kept: list[int] = []
        end = first = 0
        for length in lengths:
            begin, end = end, end + length
            while first < len(inside) and inside[first].end <= begin:
                first += 1
            removed, at = 0, first
            while at < len(inside) and inside[at].begin < end:
                removed += min(inside[at].end, end) - max(inside[at].begin, begin)
                at += 1
            kept.append(length - removed)
        return kept

    @property
    def _inside(self) -> list[Cut]:
        return [cut for cut in self.cuts if self.begin <= cut.begin and cut.end <= self.end]

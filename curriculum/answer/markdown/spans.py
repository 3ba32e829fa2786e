"""Spans of a text, and why they are cut."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from curriculum.program import Rule

Stretch = tuple[int, int, Rule]
"""As `Span`, where thousands are made: begin, end, rule."""


class Span(NamedTuple):
    """A stretch of the text that is left out."""

    begin: int
    """Offset of its first character."""
    end: int
    """Offset behind its last character."""
    rule: Rule
    """The rule that leaves it out."""


def inner_parts(
    tile: Span, inner: Sequence[Span], outside: Iterable[tuple[int, int]]
) -> Iterator[Span]:
    """The parts of a span that lie within others, each named by the inner span that covers it.

    Args:
        tile: the span.
        inner: spans with rules of their own, in order and disjoint.
        outside: where parts are wanted: begin and end of each stretch.
    """
    for first, last in outside:
        at, end = max(tile.begin, first), min(tile.end, last)
        for span in inner:
            begin, stop = max(span.begin, at), min(span.end, end)
            if begin < stop:
                yield Span(at, begin, tile.rule)
                yield Span(begin, stop, span.rule)
                at = stop
        yield Span(at, end, tile.rule)


def merged(spans: Iterable[Stretch]) -> list[Stretch]:
    """Disjoint spans in order, neighbours with the same rule as one, without empty ones."""
    result: list[Stretch] = []
    begin, behind, last = 0, -1, None
    for span in sorted(span for span in spans if span[0] < span[1]):
        first, end, rule = span
        if first == behind and rule == last:
            result[-1] = (begin, end, rule)
        else:
            result.append(span)
            begin = first
        behind, last = end, rule
    return result

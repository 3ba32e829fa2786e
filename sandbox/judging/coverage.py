"""Coverage of a program: which of its statements and lines were executed."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from sandbox.judging.records import Span
from sandbox.verdict import Statement

_LINE_BREAK = re.compile(rb"\r\n|\r|\n")


def statements(spans: Sequence[Span], hits: Iterable[bytes]) -> tuple[Statement, ...]:
    """Every statement of the program; executed if it was so in any of its runs.

    Statement ids are positions in `spans` plus one; each of `hits` is of one run and has 1 at the
    position of every id that was executed. Position 0 means nothing.
    """
    executed = {identity for run in hits for identity, hit in enumerate(run) if hit == 1} - {0}
    return tuple(
        Statement(start, end, identity in executed or alias in executed)
        for identity, (start, end, alias) in enumerate(spans, 1)
    )


def line_marks(source: str, covered: Sequence[Statement]) -> str:
    """A mark for each line of `source`, as Python counts them: `+` executed, `-` not executed, `~`
    in part, a space for a line without a statement.
    """
    content = source.encode(errors="surrogatepass")
    hit = set(executed_lines(content, covered))
    inverted = [statement._replace(executed=not statement.executed) for statement in covered]
    missed = set(executed_lines(content, inverted))
    lines = len(_LINE_BREAK.split(content.removesuffix(b"\n")))
    return "".join(
        ("~" if line in missed else "+") if line in hit else "-" if line in missed else " "
        for line in range(1, lines + 1)
    )


def executed_lines(source: bytes, covered: Sequence[Statement]) -> tuple[int, ...]:
    """The lines (1-based) of `source` on which an executed statement owns at least one byte."""
    starts = [0, *(match.end() for match in _LINE_BREAK.finditer(source))]
    lines: set[int] = set()
    for start, end, executed in covered:
        if executed:
            lines.update(range(bisect_right(starts, start), bisect_right(starts, end - 1) + 1))
    return tuple(sorted(lines))

"""Where a program leaves the canonical solution."""

import io
import tokenize
from collections.abc import Iterator
from itertools import accumulate

_UNSEEN = frozenset((tokenize.COMMENT, tokenize.NL, tokenize.ENCODING))
"""Tokens without a meaning: comments, and the ends of blank and continued lines."""
_INDENTATION = frozenset((tokenize.INDENT, tokenize.DEDENT))


def first_divergence(program: str, canonical: str) -> int | None:
    r"""The byte behind the last line of a program that it has in common with the canonical one.

    Lines are logical: a statement over several lines is one, comments and blank lines are none, and
    white space within a line does not count. All lines before the first that differs in text or
    in indentation are common.

    The policy can still succeed behind the common lines, since the canonical solution does. So they
    are not what a failure is due to: what stands behind them is.

    Args:
        program: as it was run.
        canonical: a program that passes, with the same preamble.

    Returns:
        0 where no line is common; None where the programs do not differ, or one cannot be read.

    Example:
        >>> first_divergence("def f(a):\n    b = 1\n    return a", "def f(a):\n    b = 2\n")
        9
    """
    common = 0
    theirs = _lines(canonical)
    try:
        for words, end in _lines(program):
            if words != next(theirs, (None, 0))[0]:
                return common
            common = end
    except (tokenize.TokenError, SyntaxError):
        return None
    return None  # nothing differs, or the canonical one goes on: there is nothing to point at


def _lines(source: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The logical lines: depth and tokens, and the byte behind the last visible one."""
    rows = list(io.StringIO(source, newline=""))
    starts = [0, *accumulate(len(row.encode()) for row in rows)]
    depth, words, last = 0, list[str](), (1, 0)

    def line() -> tuple[tuple[str, ...], int]:
        row, column = last
        return (str(depth), *words), starts[row - 1] + len(rows[row - 1][:column].encode())

    for token in tokenize.generate_tokens(iter(rows).__next__):
        if token.type in _INDENTATION:
            depth += 1 if token.type == tokenize.INDENT else -1
        elif token.type == tokenize.NEWLINE:
            yield line()
            words = []
        elif token.type not in _UNSEEN and token.string:
            words.append(token.string)
            last = token.end
    if words:
        yield line()

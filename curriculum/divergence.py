"""Where a program leaves the canonical solution."""

import io
import tokenize
from collections.abc import Iterator
from itertools import accumulate, zip_longest

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
    try:
        ours, theirs = list(_lines(program)), list(_lines(canonical))
    except (tokenize.TokenError, SyntaxError):
        return None
    common = 0
    for one, other in zip_longest(ours, theirs):
        if one is None:
            return None  # the program ends where the canonical one goes on: nothing to point at
        if other is None or one[0] != other[0]:
            return common
        common = one[1]
    return None


def _lines(source: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The logical lines: depth and tokens, and the byte behind the last visible one."""
    rows = list(io.StringIO(source, newline=""))
    starts = [0, *accumulate(len(row.encode()) for row in rows)]
    depth, words, end = 0, list[str](), 0
    for token in tokenize.generate_tokens(iter(rows).__next__):
        if token.type in _INDENTATION:
            depth += 1 if token.type == tokenize.INDENT else -1
        elif token.type == tokenize.NEWLINE:
            yield (str(depth), *words), end
            words = []
        elif token.type not in _UNSEEN and token.string:
            words.append(token.string)
            row, column = token.end
            end = starts[row - 1] + len(rows[row - 1][:column].encode())
    if words:
        yield (str(depth), *words), end

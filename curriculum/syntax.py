"""Parsing other people's Python."""

import ast
import threading
import warnings

UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What `parse` raises for a source that Python cannot parse: wrong syntax, null bytes, nesting too
deep for the parser (which reports the last of these as a lack of memory)."""

_ONE_AT_A_TIME = threading.RLock()
"""Python 3.11 counts the depth of the tree that it makes for all threads together: when the garbage
collector lets another one parse meanwhile, both raise SystemError. The filters of warnings are
those of the process as well."""


def parse(source: str) -> ast.Module:
    r"""The syntax tree of a source, without the warnings that `ast.parse` prints.

    A solution that contains `"\d"` makes Python warn about an invalid escape. The warning is about
    the data, and a user of StepCoder cannot act on it.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: see `UNPARSABLE`.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def syntax_fault(error: BaseException) -> str:
    """Why `parse` raised an error, in one line."""
    return " ".join(str(error).replace("<unknown>, ", "").split())

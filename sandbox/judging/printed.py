"""Printed text, line by line and token by token.

`exact`: lines are equal up to whitespace at their ends; blank lines at the end of the text do not
count. Otherwise:

- Blank lines at either end of the text and whitespace at either end of a line do not count; the
  number of lines does. Under `apps` no blank line counts, as in APPS' own checker.
- The tokens of a line, split at whitespace, are compared one by one: they are equal as text; or the
  expected one has a point or an exponent and the printed one is a number within `TOLERANCE` of it;
  or the expected one is a plain integer and the printed one adds a zero fraction (`2.0`).
- The sign of a zero does not count. `nan` and `inf` may be written in capitals.
"""

import re
from typing import TYPE_CHECKING

from sandbox.judging.tolerance import near
from sandbox.runner.values import BYTE_ORDER_MARK

if TYPE_CHECKING:  # comparing needs the standard library only
    from curriculum.problem import Comparison

MAX_NUMBER_CHARS = 400
"""A longer token is compared as text."""
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d{1,3})?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
_ZERO = re.compile(r"-?0(\.0*)?", re.ASCII)
_NOT_FINITE = frozenset({"nan", "-nan", "inf", "+inf", "-inf", "infinity", "-infinity"})
_ZERO_FRACTION = re.compile(r"(-?(?:0|[1-9]\d*))\.0*", re.ASCII)


def lines_of(text: str, comparison: "Comparison") -> list[str]:
    """The lines of a text that count, without the whitespace that does not."""
    raw = text.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n").split("\n")
    exact = comparison == "exact"
    lines = [line.rstrip() if exact else line.strip() for line in raw]
    if comparison == "apps":
        return [line for line in lines if line]
    while lines and not lines[-1]:
        lines.pop()
    first = 0
    while not exact and first < len(lines) and not lines[first]:
        first += 1
    return lines[first:]


def same_line(expected: str, printed: str, comparison: "Comparison") -> bool:
    """Whether two of the lines of `lines_of` are the same."""
    return expected == printed if comparison == "exact" else close_lines(expected, printed)


def close_lines(expected: str, printed: str) -> bool:
    """Whether two lines have the same tokens."""
    if expected == printed:
        return True
    wanted, got = expected.split(), printed.split()
    return len(wanted) == len(got) and all(map(_same_token, wanted, got))


def _same_token(expected: str, printed: str) -> bool:
    if expected == printed:
        return True
    if expected.lower() in _NOT_FINITE and printed.lower() in _NOT_FINITE:
        return near(float(expected), float(printed))
    if _INTEGER.fullmatch(expected):
        if _ZERO.fullmatch(expected) and _ZERO.fullmatch(printed):
            return True
        whole = _ZERO_FRACTION.fullmatch(printed)
        return whole is not None and whole[1] == expected
    if len(printed) > MAX_NUMBER_CHARS:
        return False
    if _FLOAT.fullmatch(expected) and _NUMBER.fullmatch(printed):
        return near(float(expected), float(printed))
    return False

"""How an output is compared with the expected one, for each `Comparison`; nothing looser passes.

| comparison | return values | printed text |
|---|---|---|
| `exact` | Python's `==` (`equality`) | but for whitespace at line ends, blank lines at the end |
| `close` | numbers within a millionth, a list equals a tuple (`tolerance`) | token by token |
| `apps` | as `close`, and an expected `[x]` also accepts `x` | as `close`, without blank lines |
| `unordered` | as `close`, and the outermost list may come in any order | its lines in any order |

What a program returned is compared by value, in the types that `sandbox.runner.values` gives it:
numpy's scalars and arrays, `Decimal` and `Fraction` are numbers and lists of numbers under every
comparison. A byte-order mark in front of a text is no content.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.judging.equality import equal
from sandbox.judging.printed import close_lines, lines_of, same_line
from sandbox.judging.tolerance import close
from sandbox.runner.values import ClaimedDict, ClaimedSet, Value

if TYPE_CHECKING:  # comparing needs the standard library only
    from curriculum.problem import Comparison

SHOWN_CHARS = 120
OUTPUT_CHARS = 1000
"""Longest output that a test's result keeps."""
MAX_PAIRED = 1000
"""Items of an unordered list that are paired one by one, where sorting both lists pairs them
wrongly: numbers that are nearly the same, dicts, sets."""


def same_value(expected: Value, returned: Value, comparison: "Comparison" = "close") -> bool:
    """Whether a returned value is the expected one."""
    try:
        if comparison == "exact":
            return equal(expected, returned)
        if close(expected, returned):
            return True
        if not isinstance(expected, (list, tuple)):
            return False
        if comparison == "apps":
            return len(expected) == 1 and close(expected[0], returned)
        if comparison == "unordered" and isinstance(returned, (list, tuple)):
            claimed = isinstance(returned, (ClaimedSet, ClaimedDict))
            return not claimed and _same_in_any_order(expected, returned, close)
        return False
    except RecursionError:
        return False


def same_text(expected: str, printed: str, comparison: "Comparison" = "close") -> bool:
    """Whether printed text is the expected text."""
    if expected == printed:
        return True
    wanted, got = lines_of(expected, comparison), lines_of(printed, comparison)
    if comparison == "unordered":
        return _same_in_any_order(wanted, got, close_lines)
    if len(wanted) != len(got):
        return False
    return all(same_line(line, other, comparison) for line, other in zip(wanted, got, strict=True))


def difference(expected: Value, output: Value, comparison: "Comparison" = "close") -> str:
    """A short text for a person: the first line that differs of two texts, else both values."""
    if isinstance(expected, str) and isinstance(output, str):
        wanted, got = lines_of(expected, comparison), lines_of(output, comparison)
        for number, (line, other) in enumerate(zip(wanted, got, strict=False), 1):
            if not same_line(line, other, comparison):
                return f"line {number}: expected {shown(line)}, got {shown(other)}"
        if len(wanted) != len(got):
            return f"expected {len(wanted)} lines, got {len(got)}"
    return f"expected {shown(expected)}, got {shown(output)}"


def shortened(text: str, longest: int = SHOWN_CHARS) -> str:
    """The text if it is short, else its beginning and its length."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}... ({len(text)} characters)"


def shown(value: Value, longest: int = SHOWN_CHARS) -> str:
    """A value for a person, shortened."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer too long for decimal text
        return f"a {type(value).__name__} too large to show"
    return shortened(text, longest)


def _same_in_any_order(wanted: Any, got: Any, same: Callable[[Any, Any], bool]) -> bool:
    """Whether every item of one list has a partner of its own in the other."""
    if len(wanted) != len(got):
        return False
    wanted, got = sorted(wanted, key=_order), sorted(got, key=_order)
    if all(map(same, wanted, got)):
        return True
    if len(wanted) > MAX_PAIRED:
        return False
    left = list(got)
    for item in wanted:
        partner = next((index for index, other in enumerate(left) if same(item, other)), None)
        if partner is None:
            return False
        del left[partner]
    return True


def _order(value: Value) -> tuple[Any, ...]:
    """A sort key that puts equal values of any types side by side; sets and dicts come last."""
    if value is None:
        return (0,)
    if isinstance(value, (int, float)):
        return (1, value) if value == value else (2,)
    if isinstance(value, str):
        return (3, value)
    if isinstance(value, (list, tuple)) and not isinstance(value, (ClaimedSet, ClaimedDict)):
        return (4, tuple(map(_order, value)))
    return (5,)

"""The rules by which an output equals the expected one; nothing looser than written here passes.

Return values (`same_value`):
- `==` of Python for None, booleans, integers, strings, bytes; a boolean equals 0 or 1.
- An expected float: any number within `TOLERANCE` of it, relative or absolute; NaN equals NaN. An
  expected integer: a returned float must equal it exactly.
- The sign of a zero does not count.
- Sequences (list, tuple) are compared item by item. A set equals a set, or the list of its members
  (data sets are JSON, which has no sets); members are compared by `==`. Sets of numbers, floats
  among them, are sorted and compared by the rules for numbers.
- Dicts are compared by keys, taken in their JSON form (`1` and `"1"` are one key), and values.
- An expected list of one item, `[x]`, also accepts `x` (APPS wraps return values so).

Printed text (`same_text`):
- Blank lines at either end of the text and whitespace at either end of a line do not count; the
  number of lines does.
- The tokens of a line, split at whitespace, are compared one by one: they are equal as text; or the
  expected one has a point or an exponent and the printed one is a number within `TOLERANCE` of it;
  or the expected one is a plain integer and the printed one adds a zero fraction (`2.0`).
- The sign of a zero does not count. `nan` and `inf` may be written in capitals.
"""

import json
import math
import re
from itertools import pairwise
from typing import Any

from sandbox.runner.values import (
    MAX_PLAIN_INT,
    ClaimedDict,
    ClaimedSet,
    Value,
    dumps_exact,
    hashable,
)

TOLERANCE = 1e-6
SHOWN_CHARS = 120
MAX_NUMBER_CHARS = 400
"""A longer token is compared as text."""
_Collection = list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any] | ClaimedSet
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d{1,3})?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
_ZERO = re.compile(r"-?0(\.0*)?", re.ASCII)
_NOT_FINITE = frozenset({"nan", "-nan", "inf", "+inf", "-inf", "infinity", "-infinity"})
_ZERO_FRACTION = re.compile(r"(-?(?:0|[1-9]\d*))\.0*", re.ASCII)


def same_value(expected: Value, returned: Value) -> bool:
    """Whether a returned value is the expected one."""
    try:
        if _same(expected, returned):
            return True
        return isinstance(expected, list) and len(expected) == 1 and _same(expected[0], returned)
    except RecursionError:
        return False


def same_text(expected: str, printed: str) -> bool:
    """Whether printed text is the expected text."""
    if expected == printed:
        return True
    wanted, got = _lines(expected), _lines(printed)
    return len(wanted) == len(got) and all(map(_same_line, wanted, got))


def difference(expected: Value, output: Value) -> str:
    """A short text for a person: the first line that differs of two texts, else both values."""
    if isinstance(expected, str) and isinstance(output, str):
        wanted, got = _lines(expected), _lines(output)
        for number, (wanted_line, line) in enumerate(zip(wanted, got, strict=False), 1):
            if not _same_line(wanted_line, line):
                return f"line {number}: expected {_show(wanted_line)}, got {_show(line)}"
        if len(wanted) != len(got):
            return f"expected {len(wanted)} lines, got {len(got)}"
    return f"expected {_show(expected)}, got {_show(output)}"


def _show(value: Value) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer too long for decimal text
        return f"a {type(value).__name__} too large to show"
    return shortened(text)


def shortened(text: str) -> str:
    """The text if it is short, else its beginning and its length."""
    if len(text) <= SHOWN_CHARS:
        return text
    return f"{text[:SHOWN_CHARS]}... ({len(text)} characters)"


def _same(expected: Value, returned: Value) -> bool:
    if isinstance(expected, float):
        return _near(expected, returned)
    if isinstance(returned, (ClaimedSet, set, frozenset)):
        if isinstance(expected, (list, tuple, set, frozenset)):
            return _same_members(expected, returned)
        return False
    if isinstance(expected, dict):
        return isinstance(returned, (dict, ClaimedDict)) and _same_items(expected, returned)
    if isinstance(returned, ClaimedDict):
        return False
    if isinstance(expected, (list, tuple)):
        if not isinstance(returned, (list, tuple)) or len(expected) != len(returned):
            return False
        return all(map(_same, expected, returned))
    if isinstance(expected, (set, frozenset)) or isinstance(returned, (list, tuple, dict)):
        return False
    return bool(expected == returned)


def _same_members(expected: _Collection, returned: _Collection) -> bool:
    """Whether a claimed set is the expected one.

    Only members that are expected enter a set here: hashing all that a program claims could be made
    slow by values whose hashes collide.
    """
    if all(map(_is_number, expected)) and any(isinstance(member, float) for member in expected):
        return _same_numbers(expected, returned)
    try:
        wanted = frozenset(map(hashable, expected))
    except TypeError:
        return False
    if not len(wanted) == len(expected) == len(returned):
        return False
    seen: set[Any] = set()
    for member in returned:
        member = hashable(member)
        try:
            if member not in wanted:
                return False
        except TypeError:
            return False
        seen.add(member)
    return len(seen) == len(wanted)


def _same_numbers(expected: _Collection, returned: _Collection) -> bool:
    """Whether two sets of numbers, floats among them, are the same; hashes nothing claimed."""
    if len(expected) != len(returned):
        return False
    if not all(map(_is_number, returned)):
        return False
    wanted, got = sorted(expected, key=_by_size), sorted(returned, key=_by_size)
    if any(number == following for number, following in pairwise(got)):  # claimed twice: not a set
        return False
    return all(map(_same, wanted, got))


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float))


def _by_size(number: float) -> tuple[bool, float]:
    """The key that sorts numbers by size, with NaN, which has none, last."""
    return (True, 0) if number != number else (False, number)


def _same_items(expected: dict[Any, Any], returned: dict[Any, Any] | ClaimedDict) -> bool:
    items = list(returned if isinstance(returned, ClaimedDict) else returned.items())
    wanted = {_json_key(key): value for key, value in expected.items()}
    got = {_json_key(key): value for key, value in items}
    if not len(items) == len(got) == len(wanted) == len(expected):
        return False
    return all(key in got and _same(value, got[key]) for key, value in wanted.items())


def _json_key(key: Value) -> str:
    """A key's text in JSON; for keys that JSON lacks, NUL and the text of `dumps_exact`."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, float)):
        return json.dumps(key)
    if isinstance(key, int):
        return str(key) if abs(key) < MAX_PLAIN_INT else hex(key)
    try:
        return "\0" + dumps_exact(hashable(key))
    except TypeError:
        return "\0" + repr(type(key))


def _near(expected: float, returned: Value) -> bool:
    if not isinstance(returned, (int, float)):
        return False
    try:
        number = float(returned)
    except OverflowError:
        return False
    if math.isnan(expected) or math.isnan(number):
        return math.isnan(expected) and math.isnan(number)
    return math.isclose(expected, number, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    first = 0
    while first < len(lines) and not lines[first]:
        first += 1
    return lines[first:]


def _same_line(expected: str, printed: str) -> bool:
    if expected == printed:
        return True
    wanted, got = expected.split(), printed.split()
    return len(wanted) == len(got) and all(map(_same_token, wanted, got))


def _same_token(expected: str, printed: str) -> bool:
    if expected == printed:
        return True
    if expected.lower() in _NOT_FINITE and printed.lower() in _NOT_FINITE:
        return _near(float(expected), float(printed))
    if _INTEGER.fullmatch(expected):
        if _ZERO.fullmatch(expected) and _ZERO.fullmatch(printed):
            return True
        whole = _ZERO_FRACTION.fullmatch(printed)
        return whole is not None and whole[1] == expected
    if len(printed) > MAX_NUMBER_CHARS:
        return False
    if _FLOAT.fullmatch(expected) and _NUMBER.fullmatch(printed):
        return _near(float(expected), float(printed))
    return False

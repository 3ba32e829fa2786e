"""Equality with tolerance of an expected value and a returned one, for data that are JSON.

- `==` of Python for None, booleans, integers, strings, bytes; a boolean equals 0 or 1.
- An expected float (or complex number): any number within `TOLERANCE` of it, relative or absolute;
  NaN equals NaN. An expected integer: a returned float, `Decimal` or `Fraction` must equal it
  exactly.
- The sign of a zero does not count.
- Sequences (list, tuple) are compared item by item. A set equals a set, or the list of its members
  (data sets are JSON, which has no sets); members are compared by `==`. Sets of numbers, floats
  among them, are sorted and compared by the rules for numbers.
- Dicts are compared by keys, taken in their JSON form (`1` and `"1"` are one key), and values.
"""

import json
import math
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from sandbox.judging.equality import frozen
from sandbox.runner.values import (
    MAX_PLAIN_INT,
    ClaimedDict,
    ClaimedSet,
    Value,
    dumps_exact,
    hashable,
)

TOLERANCE = 1e-6
_Collection = list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any] | ClaimedSet


def close(expected: Value, returned: Value) -> bool:
    """Whether a returned value is the expected one, or near it.

    Raises:
        RecursionError: both are nested too deeply.
    """
    if isinstance(expected, float):
        return near(expected, returned)
    if isinstance(expected, complex):
        parts = returned if isinstance(returned, complex) else None
        real, imaginary = (parts.real, parts.imag) if parts is not None else (returned, 0.0)
        return near(expected.real, real) and near(expected.imag, imaginary)
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
        return all(map(close, expected, returned))
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
    largest = 0
    try:
        if any(isinstance(member, ClaimedSet) for member in returned):  # a set of sets
            wanted = frozenset(frozenset(map(hashable, member)) for member in expected)
            largest = max(map(len, wanted), default=0)
        else:
            wanted = frozenset(map(hashable, expected))
    except TypeError:
        return False
    if not len(wanted) == len(expected) == len(returned):
        return False
    seen: set[Any] = set()
    for claimed in returned:
        try:
            member = hashable(frozen(claimed, largest))
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
    return all(map(close, wanted, got))


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float, Decimal, Fraction))


def _by_size(number: Any) -> tuple[bool, float]:
    """The key that sorts numbers by size, with NaN, which has none, last."""
    if isinstance(number, (Decimal, Fraction)):
        number = _float(number)
    return (True, 0) if number != number else (False, number)


def _float(number: float | Decimal | Fraction) -> float:
    """The nearest float; infinity for what is larger than every float."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _same_items(expected: dict[Any, Any], returned: dict[Any, Any] | ClaimedDict) -> bool:
    items = list(returned if isinstance(returned, ClaimedDict) else returned.items())
    wanted = {_json_key(key): value for key, value in expected.items()}
    got = {_json_key(key): value for key, value in items}
    if not len(items) == len(got) == len(wanted) == len(expected):
        return False
    return all(key in got and close(value, got[key]) for key, value in wanted.items())


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


def near(expected: float, returned: Value) -> bool:
    """Whether a returned number is within the tolerance of an expected one."""
    if isinstance(returned, complex):
        return complex(expected) == returned
    if not isinstance(returned, (int, float, Decimal, Fraction)):
        return False
    number = _float(returned)
    if math.isinf(number) and not isinstance(returned, float):
        return False  # a finite number that no float holds
    if math.isnan(expected) or math.isnan(number):
        return math.isnan(expected) and math.isnan(number)
    return math.isclose(expected, number, rel_tol=TOLERANCE, abs_tol=TOLERANCE)

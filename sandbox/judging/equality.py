"""Python's `==` between an expected value and what a program claims to have returned.

A list is not a tuple, a float has no tolerance, `1`, `1.0`, `True` and `Fraction(2, 2)` are one
number, and keys keep their types: what `assert f(...) == expected` says.

Expected values guide the comparison: of what a program claims, only what is expected enters a set
or a dict here. Otherwise values whose hashes collide could make the comparison take for ever.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sandbox.runner.values import ClaimedDict, ClaimedSet, Value


def equal(expected: Value, returned: Value) -> bool:
    """Whether `expected == returned`.

    Raises:
        RecursionError: both are nested too deeply.
    """
    if isinstance(expected, (set, frozenset)):
        if not isinstance(returned, ClaimedSet) or len(returned) != len(expected):
            return False
        return len(_expected_ones(expected, returned)) == len(expected)
    if isinstance(expected, dict):
        if isinstance(returned, ClaimedDict):
            return _equal_items(expected, returned)
        return isinstance(returned, dict) and _equal_items(expected, list(returned.items()))
    if isinstance(returned, (ClaimedSet, ClaimedDict)):
        return False
    if isinstance(expected, list):
        return isinstance(returned, list) and _equal_in_order(expected, returned)
    if isinstance(expected, tuple):
        return isinstance(returned, tuple) and _equal_in_order(expected, returned)
    return bool(expected == returned)


def _equal_in_order(expected: Sequence[Any], returned: Sequence[Any]) -> bool:
    return len(expected) == len(returned) and all(map(equal, expected, returned))


def _equal_items(expected: dict[Any, Any], returned: list[tuple[Any, Any]]) -> bool:
    if len(returned) != len(expected):
        return False
    if len(_expected_ones(expected, [key for key, _ in returned])) != len(expected):
        return False
    largest = _largest_set(expected)
    return all(equal(expected[frozen(key, largest)], value) for key, value in returned)


def _expected_ones(expected: Iterable[Any], claimed: Iterable[Any]) -> set[Any]:
    """The distinct claimed values, up to the first that is none of the expected ones."""
    wanted = frozenset(expected)
    largest = _largest_set(wanted)
    seen: set[Any] = set()
    for value in claimed:
        try:
            member = frozen(value, largest)
            if member not in wanted or member in seen:
                break
        except TypeError:
            break
        seen.add(member)
    return seen


def frozen(value: Value, largest: int) -> Any:
    """A claimed value as it was when it was a member or a key: with frozen sets.

    Raises:
        TypeError: it cannot have been one, or holds a set of more than `largest` members, which
            cannot be equal to an expected one.
    """
    if isinstance(value, ClaimedSet):
        if len(value) > largest:
            raise TypeError("a set that is larger than every expected one")
        return frozenset(frozen(member, largest) for member in value)
    if isinstance(value, tuple):
        return tuple(frozen(item, largest) for item in value)
    return value


def _largest_set(values: Iterable[Value]) -> int:
    """The most members that a set inside hashable values has."""
    largest = 0
    for value in values:
        if isinstance(value, frozenset):
            largest = max(largest, len(value), _largest_set(value))
        elif isinstance(value, tuple):
            largest = max(largest, _largest_set(value))
    return largest

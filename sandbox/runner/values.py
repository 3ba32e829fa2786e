"""The one codec for inputs and outputs: JSON text, with what JSON lacks as tagged objects.

A tag is an object of one key that begins with NUL. Decoding builds plain data only, so text from
an untrusted program can state values and nothing else.
"""

import json
import sys
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any

MAX_PLAIN_INT = 10**4000
"""Integers beyond it travel in hexadecimal: Python refuses decimal text over 4,300 digits."""


_set_digits = getattr(sys, "set_int_max_str_digits", None)


class Opaque:
    """A value of a type that does not travel: known by its type's name, equal to nothing."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, type_name: str):
        self.type_name = type_name

    def __eq__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<object of type {self.type_name}>"


def limit_digits() -> None:
    """Set the limit that `MAX_PLAIN_INT` rests on: a program may have lifted it."""
    if _set_digits is not None:
        _set_digits(4300)


def dumps_exact(value: Any) -> str:
    """Encode plain data so that `loads` gives back the same types; TypeError names what is not."""
    return json.dumps(_tagged(value, strict=True))


def dumps_result(value: Any) -> str:
    """Encode whatever a program returned: fast; tuples become lists, dict keys their JSON form."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError):  # keys JSON has no form for, huge integers, cycles
        return json.dumps(_tagged(value, strict=False))


def loads(text: str | bytes) -> Any:
    """Decode what `dumps_exact` wrote, on the trusted way in."""
    return _EXACTLY.decode(_as_text(text))


def loads_result(text: str | bytes) -> Any:
    """Decode what a program claims to have returned: sets are `Members`, odd dicts `Pairs`.

    Nothing is hashed but text, so that no choice of values makes decoding slow. Raises ValueError
    for what no `dumps` writes and RecursionError for what is nested too deeply.
    """
    return _AS_CLAIMED.decode(_as_text(text))


def _as_text(text: str | bytes) -> str:
    return text.decode("utf-8", "surrogatepass") if isinstance(text, bytes) else text


def _tag(value: Any) -> Any:
    """`json.dumps` asks here about types it does not know."""
    if isinstance(value, (set, frozenset)):
        return {"\0set": list(value)}
    if isinstance(value, (deque, range, array)):
        return list(value)
    if isinstance(value, (bytes, bytearray)):
        return {"\0bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"\0complex": [value.real, value.imag]}
    return {"\0opaque": type(value).__name__}


def _tagged(value: Any, strict: bool) -> Any:
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < MAX_PLAIN_INT else {"\0int": hex(value)}
    if isinstance(value, list):
        return [_tagged(item, strict) for item in value]
    if isinstance(value, tuple):
        return {"\0tuple": [_tagged(item, strict) for item in value]}
    if isinstance(value, (set, frozenset)):
        return {"\0set": [_tagged(item, strict) for item in value]}
    if isinstance(value, dict):
        if all(type(key) is str and not key.startswith("\0") for key in value):
            return {key: _tagged(item, strict) for key, item in value.items()}
        pairs = [[_tagged(key, strict), _tagged(item, strict)] for key, item in value.items()]
        return {"\0dict": pairs}
    if isinstance(value, (deque, range, array)):
        return [_tagged(item, strict) for item in value]
    if strict and not isinstance(value, (bytes, bytearray, complex)):
        raise TypeError(f"a value of type {type(value).__name__} cannot be sent to the sandbox")
    return _tag(value)


class Members(list):
    """The members of a set, as claimed: in no order, perhaps with duplicates."""


class Pairs(list):
    """Keys and values of a dict, as claimed: perhaps with duplicates."""


def _untag(found: dict[str, Any], tags: dict[str, Callable[[Any], Any]]) -> Any:
    if len(found) != 1:
        return found
    key, value = next(iter(found.items()))
    if key not in tags:
        return found
    try:
        return tags[key](value)
    except Exception as error:
        raise ValueError(f"malformed tag {key!r}") from error


def hashable(value: Any) -> Any:
    """Lists, which cannot be members or keys, as the tuples they were."""
    return tuple(map(hashable, value)) if isinstance(value, (list, tuple)) else value


def _pair_list(pairs: Any) -> "Pairs":
    return Pairs((key, item) for key, item in pairs)


_CLAIMED: dict[str, Callable[[Any], Any]] = {
    "\0tuple": tuple,
    "\0set": Members,
    "\0dict": _pair_list,
    "\0int": lambda text: int(text, 16),
    "\0bytes": bytes.fromhex,
    "\0complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "\0opaque": lambda name: Opaque(str(name)[:100]),
}
_EXACT: dict[str, Callable[[Any], Any]] = {
    **_CLAIMED,
    "\0set": lambda items: frozenset(map(hashable, items)),
    "\0dict": lambda pairs: {hashable(key): item for key, item in pairs},
}

# Made once: `json.loads` and `json.dumps` would make one for each text.
_ENCODER = json.JSONEncoder(default=_tag)
_AS_CLAIMED = json.JSONDecoder(object_hook=lambda found: _untag(found, _CLAIMED))
_EXACTLY = json.JSONDecoder(object_hook=lambda found: _untag(found, _EXACT))

"""The codec for inputs and outputs: JSON, with tagged objects for the types that JSON lacks.

A tagged object has one key, which begins with NUL. Decoding builds plain data only: text from an
untrusted program yields values and has no other effect.
"""

import json
import sys
from array import array
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

MAX_PLAIN_INT = 10**4000
"""Larger integers are sent in hexadecimal: Python refuses decimal text over 4,300 digits."""

_set_digits = getattr(sys, "set_int_max_str_digits", None)


class Opaque:
    """A value of a type that has no encoding: only its type's name is known; equal to nothing."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, type_name: str):
        self.type_name = type_name

    def __eq__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<object of type {self.type_name}>"


def limit_digits() -> None:
    """Restore the interpreter's limit on decimal digits, which a program may have lifted.

    Without it huge integers would be encoded as decimal text that the host cannot read.
    """
    if _set_digits is not None:
        _set_digits(4300)


def dumps_exact(value: Any) -> str:
    """Encode plain data so that `loads` returns the same types.

    Raises:
        TypeError: a value has no encoding; names its type.
    """
    return json.dumps(_tagged(value, strict=True))


def dumps_result(value: Any) -> str:
    """Encode whatever a program returned; tuples become lists, dict keys take their JSON form."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError):  # keys JSON has no form for, huge integers, cycles
        return json.dumps(_tagged(value, strict=False))


def loads(text: str | bytes) -> Any:
    """Decode what `dumps_exact` wrote; for text from the host."""
    return _EXACTLY.decode(_as_text(text))


def loads_result(text: str | bytes) -> Any:
    """Decode what a program claims to have returned; for text from a child.

    Sets become `ClaimedSet`, and dicts with keys other than text `ClaimedDict`. Only text is
    hashed, so that no choice of values (colliding hashes) makes decoding slow.

    Raises:
        ValueError: no `dumps` function writes this.
        RecursionError: it is nested too deeply.
    """
    return _AS_CLAIMED.decode(_as_text(text))


def _as_text(text: str | bytes) -> str:
    return text.decode("utf-8", "surrogatepass") if isinstance(text, bytes) else text


def _tag(value: "_Encodable") -> Any:
    """The encoding of a type that JSON lacks."""
    if isinstance(value, (set, frozenset)):
        return {"\0set": list(value)}
    if isinstance(value, (deque, range, array)):
        return list(value)
    if isinstance(value, (bytes, bytearray)):
        return {"\0bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"\0complex": [value.real, value.imag]}
    return {"\0opaque": type(value).__name__}


def _tagged(value: "_Encodable", strict: bool) -> Any:
    """The value as JSON has it, with tagged objects; `strict`: TypeError for a type without one."""
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


class ClaimedSet(list[Any]):
    """The claimed members of a set: in any order, perhaps with duplicates."""


class ClaimedDict(list[tuple[Any, Any]]):
    """The claimed keys and values of a dict, perhaps with duplicate keys."""


Plain = None | bool | int | float | complex | str | bytes | bytearray
Value = (
    Plain
    | list[Any]
    | tuple[Any, ...]
    | set[Any]
    | frozenset[Any]
    | dict[Any, Any]
    | ClaimedSet
    | ClaimedDict
    | Opaque
)
"""An expected output, or what a decoder returns; the items of containers are values as well."""

if TYPE_CHECKING:  # `array` takes no type argument when it runs on Python 3.11
    _Encodable = Value | deque[Any] | range | array[Any]


def _decode_object(item: dict[str, Any], decoders: dict[str, Callable[[Any], Any]]) -> Any:
    """The value of a tagged object; any other object as it is."""
    if len(item) != 1:
        return item
    key, value = next(iter(item.items()))
    if key not in decoders:
        return item
    try:
        return decoders[key](value)
    except Exception as error:
        raise ValueError(f"malformed tag {key!r}") from error


def hashable(value: Value) -> Any:
    """The value with lists, which cannot be members or keys, turned into tuples."""
    return tuple(map(hashable, value)) if isinstance(value, (list, tuple)) else value


def _claimed_dict(pairs: Any) -> ClaimedDict:
    return ClaimedDict((key, item) for key, item in pairs)


_CLAIMED: dict[str, Callable[[Any], Any]] = {
    "\0tuple": tuple,
    "\0set": ClaimedSet,
    "\0dict": _claimed_dict,
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

# Made once, because `json.loads` and `json.dumps` with a hook make a new one in every call.
_ENCODER = json.JSONEncoder(default=_tag)
_AS_CLAIMED = json.JSONDecoder(object_hook=lambda item: _decode_object(item, _CLAIMED))
_EXACTLY = json.JSONDecoder(object_hook=lambda item: _decode_object(item, _EXACT))

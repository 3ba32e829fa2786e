"""The codec for inputs and outputs: JSON, with tagged objects for the types that JSON lacks.

A tagged object has one key, which begins with NUL. Decoding builds plain data only: text from an
untrusted program yields values and has no other effect.

What a program returned is encoded by value, in the child:

- A number of any type (of numpy, sympy, `fractions`, `decimal`) is that number; numpy's arrays are
  lists.
- Subclasses (named tuples, counters, `IntEnum`) are the type they derive from.
- Other collections that follow `collections.abc` (deque, range, `SortedList`, the views of a dict)
  are lists, sets and dicts; where types count (`exact`), only if they equal such a list, tuple, set
  or dict by their own `==`, as `SortedList` does and deque does not.
- Everything else (generators, data classes, plain objects) is `Opaque` and equal to nothing.
"""

import json
import sys
from array import array
from collections import UserString, deque
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # both are loaded where a program uses them, and never in the forked process
    from decimal import Decimal
    from fractions import Fraction

BYTE_ORDER_MARK = "\ufeff"
"""In front of a program or a text it is no content: some editors and data sets write it."""
MAX_PLAIN_INT = 10**4000
"""Larger integers are sent in hexadecimal: Python refuses decimal text over 4,300 digits."""
MAX_DECIMAL_CHARS = 4300
"""A `Decimal` with a longer text is not sent."""

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
    return json.dumps(_tagged(value, _tag_input))


def dumps_result(value: Any, exact: bool = False) -> str:
    """Encode whatever a program returned, by the rules above.

    Unless `exact`, tuples become lists and dict keys take their JSON form, which is faster.
    """
    if exact:
        return json.dumps(_tagged(value, _tag_exactly))
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError):  # keys JSON has no form for, huge integers, cycles
        return json.dumps(_tagged(value, _tag))


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


def _tagged(value: "_Encodable", tag: Callable[[Any], Any]) -> Any:
    """The value as JSON has it, with tagged objects; `tag` replaces a type that is none of ours.

    What `tag` returns holds values of our types, or types that it replaces in turn.
    """
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < MAX_PLAIN_INT else {"\0int": hex(value)}
    if isinstance(value, list):
        return [_tagged(item, tag) for item in value]
    if isinstance(value, tuple):
        return {"\0tuple": [_tagged(item, tag) for item in value]}
    if isinstance(value, (set, frozenset)):
        return {"\0set": [_tagged(item, tag) for item in value]}
    if isinstance(value, (bytes, bytearray)):
        return {"\0bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"\0complex": [value.real, value.imag]}
    if isinstance(value, _Tag):
        return {value.name: _tagged(value.content, tag)}
    if isinstance(value, dict):
        if all(type(key) is str and not key.startswith("\0") for key in value):
            return {key: _tagged(item, tag) for key, item in value.items()}
        pairs = [[_tagged(key, tag), _tagged(item, tag)] for key, item in value.items()]
        return {"\0dict": pairs}
    return _tagged(tag(value), tag)


class _Tag:
    """A tagged object to be: a type of its own, so that no program's dict passes for one."""

    def __init__(self, name: str, content: Any):
        self.name = name
        self.content = content


def _tag_input(value: "_Encodable") -> Any:
    """For a type of an input that is none of ours."""
    if isinstance(value, (deque, range, array)):
        return list(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent to the sandbox")


def _tag(value: "_Encodable") -> Any:
    """For a type of a result that is none of ours, where types do not count."""
    scalar = _scalar(value)
    if scalar is not None:
        return scalar
    try:
        if isinstance(value, Set):
            return _Tag("\0set", list(value))
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, (Sequence, array)) and not isinstance(value, memoryview):
            return list(value)
    except TypeError:  # a member that cannot be hashed
        pass
    return _Tag("\0opaque", type(value).__name__)


def _as_json(value: "_Encodable") -> Any:
    """For the JSON encoder: what stands for a value that JSON lacks."""
    if isinstance(value, (set, frozenset)):
        return {"\0set": list(value)}
    if not isinstance(value, (bytes, bytearray, complex)):
        value = _tag(value)
    if isinstance(value, _Tag):
        return {value.name: value.content}
    return _tagged(value, _tag) if isinstance(value, (bytes, bytearray, complex)) else value


def _tag_exactly(value: "_Encodable") -> Any:
    """For a type of a result that is none of ours, where types count."""
    scalar = _scalar(value)
    if scalar is not None:
        return scalar
    kinds: list[Any] = []
    if isinstance(value, Set):
        kinds.append(set)
    elif isinstance(value, Mapping):
        kinds.append(dict)
    elif isinstance(value, Sequence):
        kinds += [list, tuple]
    for kind in kinds:
        try:
            plain: Any = kind(value)
            if value == plain:
                return plain
        except (TypeError, ValueError):
            break
    return _Tag("\0opaque", type(value).__name__)


def _scalar(value: Any) -> Any:
    """The value of a number, numpy array or `UserString` in our types; None for anything else."""
    # A type whose module is not loaded is not this value's type.
    numpy: Any = sys.modules.get("numpy")
    decimal: Any = sys.modules.get("decimal")
    numbers: Any = sys.modules.get("numbers")
    if isinstance(value, UserString):
        return str(value)
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return value.tolist()
        if isinstance(value, numpy.bool_):
            return bool(value)
    if decimal is not None and isinstance(value, decimal.Decimal):
        text = str(value)
        return _Tag("\0decimal", text) if len(text) <= MAX_DECIMAL_CHARS else None
    if numbers is None:
        return None
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Rational):
        parts = int(value.numerator), int(value.denominator)
        if parts[1] == 1:
            return parts[0]
        return _Tag("\0fraction", [*parts]) if _is_short(*parts) else None
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, numbers.Complex):
        return complex(value)
    return None


def _is_short(numerator: int, denominator: int) -> bool:
    return abs(numerator) < MAX_PLAIN_INT and 1 < denominator < MAX_PLAIN_INT


class ClaimedSet(list[Any]):
    """The claimed members of a set: in any order, perhaps with duplicates."""


class ClaimedDict(list[tuple[Any, Any]]):
    """The claimed keys and values of a dict, perhaps with duplicate keys."""


Plain = None | bool | int | float | complex | str | bytes | bytearray
if TYPE_CHECKING:
    from decimal import Decimal
    from fractions import Fraction

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
        | Decimal
        | Fraction
    )
    _Encodable = (
        Value
        | deque[Any]
        | range
        | array[Any]
        | memoryview
        | Set[Any]
        | Mapping[Any, Any]
        | Sequence[Any]
        | _Tag
    )
else:  # the two number types are loaded where a program uses them, never in the forked process
    Value = Any
"""An expected output, or what a decoder returns; the items of containers are values as well."""


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


def _decimal(text: Any) -> Any:
    from decimal import Decimal

    if not isinstance(text, str) or len(text) > MAX_DECIMAL_CHARS:
        raise ValueError("not the text of a decimal number")
    number = Decimal(text)
    if number.is_nan():
        return float("nan")  # comparing a signalling NaN of `decimal` raises
    return number if number.is_finite() else float(number)


def _fraction(parts: Any) -> Any:
    from fractions import Fraction

    numerator, denominator = parts
    if type(numerator) is not int or type(denominator) is not int:
        raise ValueError("not the parts of a fraction")
    if not _is_short(numerator, denominator):  # reducing it could take for ever
        raise ValueError("a fraction with too large parts")
    return Fraction(numerator, denominator)


def _claimed_dict(pairs: Any) -> ClaimedDict:
    return ClaimedDict((key, item) for key, item in pairs)


_CLAIMED: dict[str, Callable[[Any], Any]] = {
    "\0tuple": tuple,
    "\0set": ClaimedSet,
    "\0dict": _claimed_dict,
    "\0int": lambda text: int(text, 16),
    "\0bytes": bytes.fromhex,
    "\0complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "\0decimal": _decimal,
    "\0fraction": _fraction,
    "\0opaque": lambda name: Opaque(str(name)[:100]),
}
_EXACT: dict[str, Callable[[Any], Any]] = {
    **_CLAIMED,
    "\0set": lambda items: frozenset(map(hashable, items)),
    "\0dict": lambda pairs: {hashable(key): item for key, item in pairs},
}

# Made once, because `json.loads` and `json.dumps` with a hook make a new one in every call.
_ENCODER = json.JSONEncoder(default=_as_json)
_AS_CLAIMED = json.JSONDecoder(object_hook=lambda item: _decode_object(item, _CLAIMED))
_EXACTLY = json.JSONDecoder(object_hook=lambda item: _decode_object(item, _EXACT))

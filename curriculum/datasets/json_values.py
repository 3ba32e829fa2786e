"""Test values in JSON without loss: tuples, sets and dicts with any keys keep their types.

| value | JSON |
|---|---|
| tuple | `{"$tuple": [...]}` |
| set, frozenset | `{"$set": [...]}`, members in a fixed order |
| dict with a key that is not a string, or begins with `$` | `{"$dict": [[key, value], ...]}` |

Everything else is plain JSON, so that a file without such values has nothing special in it.
"""

import json
from typing import Any, cast


def to_json(value: Any) -> Any:
    """The JSON form of a value.

    Raises:
        TypeError: a part of the value has no JSON form; names the part.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list):
        return _all_to_json(cast(list[Any], value))
    if isinstance(value, tuple):
        return {"$tuple": _all_to_json(list(cast(tuple[Any, ...], value)))}
    if isinstance(value, set | frozenset):
        members = _all_to_json(list(cast(set[Any], value)))
        return {"$set": sorted(members, key=json.dumps)}
    if isinstance(value, dict):
        items = cast(dict[Any, Any], value).items()
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in items):
            return {key: to_json(item) for key, item in items}
        return {"$dict": [[to_json(key), to_json(item)] for key, item in items]}
    raise TypeError(f"JSON cannot keep {value!r}")


def from_json(value: Any) -> Any:
    """The value of a JSON form.

    Raises:
        ValueError: a form that `to_json` does not write.
    """
    if isinstance(value, list):
        return [from_json(item) for item in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    fields = cast(dict[str, Any], value)
    if not any(key.startswith("$") for key in fields):
        return {key: from_json(item) for key, item in fields.items()}
    try:
        [(form, content)] = fields.items()
        if not isinstance(content, list):
            raise TypeError("must hold a list")
        items = [from_json(item) for item in cast(list[Any], content)]
        if form == "$tuple":
            return tuple(items)
        if form == "$set":
            return set(map(_hashable, items))
        if form == "$dict":
            return {_hashable(key): item for key, item in items}
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a StepCoder value: {_short(fields)}: {error}") from None
    raise ValueError(f"not a StepCoder value: {_short(fields)}: {form} is unknown")


def _all_to_json(values: list[Any]) -> list[Any]:
    return [to_json(value) for value in values]


def _hashable(value: Any) -> Any:
    """A member or key with sets as frozen sets: it was hashable, so it can have held no others."""
    if isinstance(value, set):
        return frozenset(cast(set[Any], value))
    if isinstance(value, tuple):
        return tuple(map(_hashable, cast(tuple[Any, ...], value)))
    return value


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}..."

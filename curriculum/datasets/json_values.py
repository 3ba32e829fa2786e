"""Test values in JSON without loss: tuples, sets and dicts with any keys come back as they were.

| value | written |
|---|---|
| tuple | `{"$tuple": [...]}` |
| set, frozenset | `{"$set": [...]}`, members in a fixed order |
| dict with a key that is no string, or begins with `$` | `{"$dict": [[key, value], ...]}` |

Everything else is plain JSON, so that a file without such values looks as it always did.
"""

import json
from typing import Any


def to_json(value: Any) -> Any:
    """The JSON form of a value; raises `TypeError` naming the part that has none."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, tuple):
        return {"$tuple": [to_json(item) for item in value]}
    if isinstance(value, set | frozenset):
        return {"$set": sorted((to_json(item) for item in value), key=json.dumps)}
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: to_json(item) for key, item in value.items()}
        return {"$dict": [[to_json(key), to_json(item)] for key, item in value.items()]}
    raise TypeError(f"JSON cannot keep {value!r}")


def from_json(value: Any) -> Any:
    """The value of a JSON form; raises `ValueError` for a form that `to_json` does not write."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not any(key.startswith("$") for key in value):
        return {key: from_json(item) for key, item in value.items()}
    try:
        [(form, content)] = value.items()
        items = from_json(_a_list(content))
        if form == "$tuple":
            return tuple(items)
        if form == "$set":
            return set(map(_frozen, items))
        if form == "$dict":
            return {_frozen(key): item for key, item in items}
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a value of ours: {_short(value)}: {error}") from None
    raise ValueError(f"not a value of ours: {_short(value)}: {form} is unknown")


def _frozen(value: Any) -> Any:
    """A member or key, which was hashable and so held no sets but frozen ones."""
    if isinstance(value, set):
        return frozenset(value)
    return tuple(map(_frozen, value)) if isinstance(value, tuple) else value


def _a_list(content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise TypeError("a list is wanted")
    return content


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}..."

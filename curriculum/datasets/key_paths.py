"""Values of a record by path, so that a user can say where a field stands (`--map`)."""

import json
from collections.abc import Mapping
from typing import Any, cast

ABSENT = object()


def at_paths(record: dict[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """A record with each named field at the path that is given for it.

    A path is keys and positions joined by dots, such as `prompt.text` or `solutions.0`; JSON text
    on the way is decoded. A key that was moved as a whole is not kept. A path that leads nowhere
    gives no field, also where the record has a key of the field's name.

    Example:
        >>> at_paths({"prompt": {"text": "Add."}, "id": 1}, {"question": "prompt.text"})
        {'prompt': {'text': 'Add.'}, 'id': 1, 'question': 'Add.'}
    """
    if not paths:
        return record
    values = {field: _value(record, path) for field, path in paths.items()}
    replaced = {*paths.values(), *paths}
    kept = {key: value for key, value in record.items() if key not in replaced}
    return kept | {field: value for field, value in values.items() if value is not ABSENT}


def has_path(record: dict[str, Any], path: str) -> bool:
    """Whether a path leads to a value of a record."""
    return _value(record, path) is not ABSENT


def _value(record: dict[str, Any], path: str) -> Any:
    if path in record:
        return record[path]
    value: Any = record
    for part in path.split("."):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                return ABSENT
        if isinstance(value, dict) and part in value:
            value = cast(dict[str, Any], value)[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(cast(Any, value)):
            value = cast(list[Any], value)[int(part)]
        else:
            return ABSENT
    return value

"""What the curriculum raises about a user's data, settings or saved state."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError


class CurriculumError(ValueError):
    """Base of every error that is the data's or the configuration's fault, not a bug."""


class BadRecord(CurriculumError):
    """A record that cannot be read as a problem; the message names file, record and field."""

    def __init__(self, path: Path | str, record: str, field: str, reason: str):
        self.path, self.record, self.field, self.reason = str(path), record, field, reason
        super().__init__(f"{path}: {record}: {field}: {reason}")

    def __reduce__(self) -> tuple[type["BadRecord"], tuple[str, str, str, str]]:
        return BadRecord, (self.path, self.record, self.field, self.reason)


class UnusableData(CurriculumError):
    """Problems that a run must not use as they are; the message says what to do."""


class IncompatibleState(CurriculumError):
    """Saved state that belongs to another data set, another mode or another configuration."""


def first_fault(error: ValidationError) -> tuple[str, str]:
    """The first wrong field of a record, dotted and empty for the record itself, and the reason."""
    first = error.errors(include_url=False)[0]
    return ".".join(map(str, first["loc"])), plain_reason(first)


def plain_reason(fault: Mapping[str, Any]) -> str:
    """What is wrong, in words of this project, of one of pydantic's error dictionaries."""
    kind, value, limits = fault["type"], fault["input"], fault.get("ctx", {})
    if kind in _WANTED:
        shown = f" {value!r}" if isinstance(value, str) and len(value) < 40 else ""
        return f"must be {_WANTED[kind]}, not {_kind(value)}{shown if kind != 'dict_type' else ''}"
    if kind in _BOUNDS:
        word, name = _BOUNDS[kind]
        return f"must be {word} {limits[name]:g}, not {value!r}"
    match kind:
        case "missing":
            return "missing"
        case "extra_forbidden":
            return "unknown field"
        case "string_too_short":
            return "empty"
        case "too_short":
            return f"at least {limits['min_length']} item needed"
        case "literal_error" | "enum":
            known = limits["expected"].replace(" or ", ", ").replace("'", "")
            return f"{value!r} is none of {known}"
        case _:
            reason = fault["msg"].removeprefix("Value error, ")
            return reason.replace("Input should be", "must be", 1)


_WANTED = {
    "model_type": "a JSON object", "model_attributes_type": "a JSON object",
    "dict_type": "a JSON object", "string_type": "text", "list_type": "a list",
    "tuple_type": "a list", "int_type": "a whole number", "int_parsing": "a whole number",
    "int_from_float": "a whole number", "float_type": "a number", "float_parsing": "a number",
    "finite_number": "a finite number", "bool_type": "true or false",
    "bool_parsing": "true or false",
}  # fmt: skip
_BOUNDS = {
    "greater_than": ("greater than", "gt"), "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"), "less_than_equal": ("at most", "le"),
}  # fmt: skip


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__

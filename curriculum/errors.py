"""What the curriculum raises about a user's data, settings or saved state."""

from pathlib import Path

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


def first_fault(error: ValidationError) -> tuple[str, str]:
    """The first wrong field of a record, dotted and empty for the record itself, and the reason."""
    first = error.errors(include_url=False)[0]
    plain = {"missing": "missing", "model_type": "must be a JSON object"}
    reason = plain.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    reason = reason.replace("Input should be", "must be", 1)
    return ".".join(map(str, first["loc"])), reason


class UnusableData(CurriculumError):
    """Problems that a run must not use as they are; the message says what to do."""


class IncompatibleState(CurriculumError):
    """Saved state that belongs to another data set, another mode or another configuration."""

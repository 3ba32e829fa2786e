"""Which keys of an APPS+-shaped file hold which fields."""

import reprlib
from typing import Any, cast

from curriculum.datasets.formats.record import RecordReader

ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "task_id", "problem_id"),
    "question": ("question", "prompt", "problem", "description", "problem_description"),
    "solution": ("solution", "canonical_solution", "solutions"),
    "starter_code": ("starter_code", "starter"),
    "preamble": ("preamble", "prefix"),
    "fn_name": ("fn_name", "function_name", "entry_point"),
    "inputs": ("inputs",),
    "outputs": ("outputs",),
    "input_output": ("input_output",),
    "difficulty": ("difficulty", "level"),
    "source": ("source",),
}
"""Accepted keys of each field, best first. Case, spaces and hyphens do not matter."""

OPTIONAL = frozenset({"id", "starter_code", "preamble", "fn_name", "source", "input_output"})


class KeyMapping:
    """Which key of one file is read as which field.

    The first record that has a field fixes the field's key for the whole file: a file that mixes
    styles is more likely wrong than meant. Converts to text for the log.

    Args:
        guessed: whether the file is read as APPS+ only because no format recognised its keys. Until
            a record has every field that is needed, the error about a missing one says so.
    """

    def __init__(self, guessed: bool = False) -> None:
        self._guessed = guessed
        self._key_of: dict[str, str] = {}
        self._ignored: set[str] = set()

    def __str__(self) -> str:
        pairs = sorted(self._key_of.items())
        used = ", ".join(f"{field} from {key!r}" for field, key in pairs)
        ignored = ", ".join(map(repr, sorted(self._ignored))) or "none"
        return f"{used}; keys not read: {ignored}"

    def key_of(self, field: str) -> str:
        """The alias of a field that some record had."""
        return _plain(self._key_of[field])

    def normalised(self, record: RecordReader) -> RecordReader:
        """A record's values by field; the parts of `input_output` become fields.

        Raises:
            BadRecord: a field that is not optional is missing, stands under another key than in
                earlier records, or is given twice with different values.
        """
        keys = {_plain(key): key for key in record.fields}
        if len(keys) < len(record.fields):
            names = ", ".join(record.fields)
            raise record.error("record", f"two keys differ only in spelling: {names}")
        fields: dict[str, Any] = {}
        for field, aliases in ALIASES.items():
            alias = next((alias for alias in aliases if alias in keys), None)
            if alias is not None:
                fields[field] = record.fields[self._agreed(record, field, keys.pop(alias))]
        self._ignored |= set(keys.values())
        normalised = RecordReader(record.path, record.where, fields)
        if "input_output" in fields:
            _unpack_tests(normalised)
        for field, aliases in ALIASES.items():
            if field not in fields and field not in OPTIONAL:
                accepted = ", ".join(aliases)
                if self._guessed:
                    raise record.error("keys", _unrecognised(record, field, accepted))
                raise record.error(field, f"missing (accepted: {accepted})")
        self._guessed = False
        return normalised

    def _agreed(self, record: RecordReader, field: str, key: str) -> str:
        earlier = self._key_of.setdefault(field, key)
        if earlier != key:
            reason = f"stands under {key!r}, in earlier records under {earlier!r}"
            raise record.error(field, reason)
        return key


def _plain(key: str) -> str:
    """A key, spelt as the aliases are."""
    return key.strip().lower().replace(" ", "_").replace("-", "_")


def _unrecognised(record: RecordReader, field: str, accepted: str) -> str:
    return (
        f"no format recognised {reprlib.repr(list(record.fields))}; read as apps_plus, "
        f"{field} is missing (accepted: {accepted}); --format NAME chooses another format, "
        "`stepcoder data convert --help` lists them"
    )


def _unpack_tests(record: RecordReader) -> None:
    decoded = record.decoded("input_output")
    if not isinstance(decoded, dict):
        raise record.wrong_kind("input_output", "a JSON object", decoded)
    packed, fields = cast(dict[str, Any], decoded), record.fields
    del fields["input_output"]
    for field in ("inputs", "outputs", "fn_name"):
        if field not in packed:
            continue
        if field in fields and fields[field] != packed[field]:
            raise record.error(field, "stands both beside and inside input_output, and differs")
        fields[field] = packed[field]

"""What of a user's `--map` and `--tiers` has an effect, and which keys nothing reads."""

import itertools
import logging
import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from typing_extensions import override

from curriculum.datasets.key_paths import at_paths, has_path
from curriculum.datasets.reading.any_tests import TEST_KEYS
from curriculum.datasets.reading.format import ReadOptions
from curriculum.errors import UnusableData

logger = logging.getLogger(__name__)

KEYS_NAMED = 20
"""Unread keys that the message names; it counts the others."""


class TrackedFields(dict[str, Any]):
    """A mapping that remembers which of its keys were looked up."""

    def __init__(self, fields: Mapping[str, Any]):
        super().__init__(fields)
        self.used: set[str] = set()

    @override
    def __getitem__(self, key: str) -> Any:
        self.used.add(key)
        return super().__getitem__(key)

    @override
    def get(self, key: str, default: Any = None) -> Any:
        self.used.add(key)
        return super().get(key, default)


class MapUse:
    """Gathers over the records of a source what was read from where.

    Args:
        path: the source, for messages.
        options: with the user's map and levels.
        form: name of the form in which the records are read.
    """

    def __init__(self, path: Path, options: ReadOptions, form: str):
        self.levels = None if options.levels is None else TrackedFields(options.levels)
        self._path, self._keys, self._form = path, options.keys, form
        self._found: Counter[str] = Counter()
        self._used: set[str] = set()
        self._unread: Counter[str] = Counter()
        self._seen = self._read = 0
        self._first_keys: list[str] = []

    def place(self, record: dict[str, Any]) -> TrackedFields:
        """A record with its fields at the user's paths."""
        self._seen += 1
        self._first_keys = self._first_keys or list(record)
        self._found.update(name for name, path in self._keys.items() if has_path(record, path))
        return TrackedFields(at_paths(record, self._keys))

    def count(self, record: dict[str, Any], placed: TrackedFields) -> None:
        """Count what was not looked up of a record that has become a problem."""
        self._read += 1
        self._used |= placed.used & self._keys.keys()
        self._unread.update(_unread(record, placed, self._keys))

    def report(self) -> None:
        """Say which keys were not read, and refuse what had no effect in any record.

        Raises:
            UnusableData: a path that leads nowhere in every record, a mapped field that the form
                does not read, or levels of which no record has one.
        """
        for name, path in self._keys.items():
            if not self._seen:
                continue
            said, found = f"--map {name}={path}", self._found[name]
            if not found:
                keys = reprlib.repr(self._first_keys)
                where = f"in each of {self._seen} records" if self._seen > 1 else "in the record"
                raise UnusableData(
                    f"{self._path}: {said}: leads nowhere {where}; the keys are {keys}"
                )
            if self._read and name not in self._used:
                raise UnusableData(
                    f"{self._path}: {said}: has no effect: read as {self._form}, nothing uses a "
                    f"field {name!r}"
                )
            if found < self._seen:
                missing = f"{self._seen - found} of {self._seen} records"
                logger.warning("%s: leads nowhere in %s", said, missing)
        if self.levels is not None and self._read and not self.levels.used & self.levels.keys():
            said = ",".join(f"{level}={tier}" for level, tier in self.levels.items())
            raise UnusableData(
                f"{self._path}: --tiers {said}: has no effect: no record has such a level; "
                f"--map difficulty=KEY says where it stands"
            )
        if self._unread or (self._keys and self._read):
            logger.info("%s: keys not read: %s", self._path, self._said_unread())

    def _said_unread(self) -> str:
        most = self._unread.most_common()
        shown = [f"{key!r} ({number} of {self._read} records)" for key, number in most[:KEYS_NAMED]]
        if len(most) > KEYS_NAMED:
            shown.append(f"and {len(most) - KEYS_NAMED} more")
        return ", ".join(shown) or "none"


def _unread(
    record: dict[str, Any], placed: TrackedFields, mapped: Mapping[str, str]
) -> Iterator[str]:
    """The keys of a record that hold something and were not read, such as `url` or `prompt.lang`"""
    for key, value in record.items():
        paths = [path for path in mapped.values() if path == key or path.startswith(f"{key}.")]
        if value is None or key in paths or (key not in mapped and key in placed.used):
            continue
        if not paths:
            yield key
        elif isinstance(value, dict):
            for part in cast(dict[str, Any], value):
                inner = f"{key}.{part}"
                if not any(path == inner or path.startswith(f"{inner}.") for path in paths):
                    yield inner
    for key in placed.used & {"tests", "test_cases"}:
        yield from sorted(f"{key}[].{inner}" for inner in _unread_of_tests(dict(placed).get(key)))


def _unread_of_tests(value: Any) -> set[str]:
    tests = cast(list[Any], value) if isinstance(value, list) else []
    keys = (cast(dict[str, Any], test).keys() for test in tests if isinstance(test, dict))
    return {*itertools.chain.from_iterable(keys)} - TEST_KEYS

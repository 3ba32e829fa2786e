"""What a data set form is: how its records are recognised, and how they become problems."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from curriculum.datasets.reading.record import RecordReader
from curriculum.datasets.record_stream import Record
from curriculum.problem import Problem, Tier

Option = Literal["split", "release", "dates"]


@dataclass(frozen=True)
class ReadOptions:
    """How a user wants a data set to be read."""

    split: str | None = None
    """`train` or `test`, for a folder; None reads both."""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Field to the path of its value in the published record, such as `prompt.text`."""
    levels: Mapping[str, Tier] | None = None
    """The data set's own levels, in lower case, to tiers."""
    release: str | None = None
    """Release of LiveCodeBench, such as `v5` or `v4_v5`; None reads every file."""
    first_day: date | None = None
    """Leaves out problems that were published before it."""
    last_day: date | None = None
    """Leaves out problems that were published after it."""


@dataclass(frozen=True)
class Format:
    """One form in which data sets are published."""

    name: str
    """What a user calls it (`stepcoder data convert --format NAME`)."""
    description: str
    """One line for a user who looks for the right name."""
    keys: tuple[str | tuple[str, ...], ...]
    """What every record has; one of a tuple is enough."""
    to_problem: Callable[[RecordReader], Problem]
    """Makes the problem of a record; raises `BadRecord` for one that is wrong."""
    more_keys: frozenset[str] = frozenset()
    """Other keys of such records: they tell which form a record with a missing key looks like."""
    options: frozenset[Option] = frozenset()
    """What of `ReadOptions` belongs to this form alone."""
    spelling: Callable[[str], str] | None = None
    """How a key is spelt in `keys`, where its spelling does not matter."""
    folders: Callable[[Path], bool] | None = None
    """Whether a folder has this form, where that is told without a record."""
    folder_records: Callable[[Path, str | None], Iterator[Record]] | None = None
    """Streams the records of such a folder, of one split or of both."""
    chosen: Callable[[RecordReader, ReadOptions], bool] | None = None
    """Whether a record is within the options."""
    files_of_release: Callable[[list[Path], str], list[Path]] | None = None
    """The files of a release."""

    @property
    def known(self) -> frozenset[str]:
        """Every key that such records may have."""
        return self.more_keys.union(*(_alternatives(key) for key in self.keys))

    def missing(self, record: Mapping[str, Any]) -> list[str]:
        """The keys that a record lacks."""
        present = {self.spelling(key) if self.spelling else key for key in record}
        return [_shown(key) for key in self.keys if not _has(present, key)]

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Whether a record has every key of this form."""
        return not self.missing(record)

    def likeness(self, record: Mapping[str, Any]) -> tuple[float, int]:
        """How much a record looks like this form; larger is more."""
        share = 1 - len(self.missing(record)) / len(self.keys)
        return share, sum(key in self.more_keys for key in record)


def _alternatives(key: str | tuple[str, ...]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key


def _has(present: set[str], key: str | tuple[str, ...]) -> bool:
    return any(one in present for one in _alternatives(key))


def _shown(key: str | tuple[str, ...]) -> str:
    return " or ".join(_alternatives(key))

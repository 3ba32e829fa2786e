"""What a data set format is: how its files are recognised and how they are read."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curriculum.datasets.formats.record import RecordReader
from curriculum.datasets.jsonl import json_objects
from curriculum.errors import BadRecord
from curriculum.problem import Problem

Reading = Iterator[Problem | BadRecord]
"""Problems in file order; a record that is wrong comes as its `BadRecord`, and the next follows."""


@dataclass(frozen=True)
class Format:
    """One form in which data sets are published."""

    name: str
    """What a user calls it (`stepcoder data convert --format NAME`)."""
    description: str
    """One line for a user who looks for the right name."""
    recognises: Callable[[Path, dict[str, Any] | None], bool]
    """Whether a path has this format, by the path and the first record (None where the path is not
    a JSONL file)."""
    read: Callable[[Path], Reading]
    """Streams the whole data set, with one record in memory at a time. Raises `BadRecord` where the
    rest cannot be read, and `OSError` where the path cannot be opened."""
    read_split: Callable[[Path, str], Reading] | None = None
    """Streams one split, `train` or `test`; None where the format has no splits."""


def jsonl_format(
    name: str,
    description: str,
    keys: Iterable[str],
    to_problem: Callable[[RecordReader], Problem],
) -> Format:
    """A format of JSONL files with one record per problem.

    Args:
        name: as in `Format`.
        description: as in `Format`.
        keys: a file has this format where its first record has all of these keys.
        to_problem: makes the problem of a record; raises `BadRecord` for one that is wrong.
    """

    def read(path: Path) -> Reading:
        for index, record in json_objects(path):
            if isinstance(record, BadRecord):
                yield record
                continue
            try:
                yield to_problem(RecordReader(path, f"record {index}", record))
            except BadRecord as error:
                yield error

    return Format(name, description, has_keys(keys), read)


def has_keys(keys: Iterable[str]) -> Callable[[Path, dict[str, Any] | None], bool]:
    """A `Format.recognises` that asks whether the first record has all of some keys."""
    wanted = frozenset(keys)
    return lambda _, record: record is not None and wanted <= record.keys()

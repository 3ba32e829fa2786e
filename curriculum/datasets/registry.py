"""Every data set format, and one reader for all of them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from curriculum.datasets.formats import (
    apps,
    apps_plus,
    human_eval,
    leetcode,
    mbpp,
    stepcoder,
)
from curriculum.datasets.formats.format import Format
from curriculum.datasets.jsonl import json_objects
from curriculum.errors import BadRecord, CurriculumError, UnusableData
from curriculum.problem import Problem, Tier

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        stepcoder.FORMAT,
        mbpp.FORMAT,
        leetcode.FORMAT,
        human_eval.FORMAT,
        apps.FOLDER,
        apps.PARQUET,
        apps_plus.FORMAT,
    )
}
"""Formats by name. `detect` tries them in this order; `apps_plus` is last, as it takes any file."""

EXAMPLES_KEPT = 3


@dataclass
class Skipped:
    """Records that were left out, by the field that was wrong."""

    counts: dict[str, int] = field(default_factory=dict[str, int])
    """Field to number of records."""
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Field to the first few error messages."""

    @property
    def total(self) -> int:
        """Number of records left out."""
        return sum(self.counts.values())

    def add(self, error: BadRecord) -> None:
        """Count one record."""
        self.counts[error.field] = self.counts.get(error.field, 0) + 1
        messages = self.examples.setdefault(error.field, [])
        if len(messages) < EXAMPLES_KEPT:
            messages.append(str(error))


def read_source(
    path: Path | str,
    format: Format | None = None,
    *,
    split: str | None = None,
    tiers: Collection[Tier] = (),
    skipped: Skipped | None = None,
) -> Iterator[Problem]:
    """Stream the problems of a data set; only their ids stay in memory.

    Args:
        path: the file, or APPS's folder.
        format: one of `FORMATS`; None takes the one that `detect` finds.
        split: `train` or `test`, for a format that has splits; None reads both.
        tiers: which to keep; an empty collection keeps all.
        skipped: counts records that are wrong, which are then left out; None raises at the first.

    Raises:
        BadRecord: names file, record and field; also with `skipped` where the rest of a file
            cannot be read.
        CurriculumError: `split` for a format that has none.
        OSError: the path cannot be opened.
    """
    path = Path(path)
    format = format or detect(path)
    seen: set[str] = set()
    for item in _reading(path, format, split):
        if isinstance(item, Problem) and item.id in seen:
            item = BadRecord(path, f"problem {item.id!r}", "id", "an earlier record has it")
        if isinstance(item, BadRecord):
            if skipped is None:
                raise item
            skipped.add(item)
            continue
        seen.add(item.id)
        if not tiers or item.difficulty in tiers:
            yield item


def detect(path: Path | str) -> Format:
    """The format of a file or folder, by its name and the keys of its first record.

    A file that no other format recognises gives `apps_plus.GUESSED`.

    Raises:
        UnusableData: a folder without problem folders.
        OSError: nothing is there.
    """
    path = Path(path)
    record = None if path.is_dir() or path.suffix == ".parquet" else _first_record(path)
    for format in FORMATS.values():
        if format.recognises(path, record):
            return apps_plus.GUESSED if format is apps_plus.FORMAT else format
    raise UnusableData(
        f"{path}: is a folder; expected a file, or a folder of APPS with */question.txt"
    )


def _reading(path: Path, format: Format, split: str | None) -> Iterator[Problem | BadRecord]:
    if split is None:
        return format.read(path)
    if format.read_split is None:
        with_splits = ", ".join(name for name, known in FORMATS.items() if known.read_split)
        raise CurriculumError(
            f"{path}: its format {format.name!r} has no splits; only {with_splits} has"
        )
    return format.read_split(path, split)


def _first_record(path: Path) -> dict[str, object] | None:
    _, record = next(json_objects(path), (0, None))
    return record if isinstance(record, dict) else None

"""Every data set form, and one reader for all of them."""

import logging
import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

from curriculum.datasets.formats import (
    apps,
    apps_plus,
    code_contests,
    codeforces,
    human_eval,
    kodcode,
    leetcode,
    livecodebench,
    mbpp,
    stepcoder,
)
from curriculum.datasets.key_paths import at_paths
from curriculum.datasets.reading.format import Format, ReadOptions
from curriculum.datasets.reading.record import RecordReader
from curriculum.datasets.record_stream import Record, read_records
from curriculum.errors import BadRecord, UnusableData
from curriculum.problem import Problem, Test, Tier

logger = logging.getLogger(__name__)

FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        stepcoder.FORMAT,
        livecodebench.FORMAT,
        leetcode.FORMAT,
        kodcode.FORMAT,
        code_contests.FORMAT,
        codeforces.FORMAT,
        human_eval.FORMAT,
        mbpp.FORMAT,
        apps.TACO,
        apps.APPS,
        apps_plus.FORMAT,
    )
}
"""Forms by name. A record has the first of them that recognises it; `apps_plus` takes any record
under the usual names."""

EXAMPLES_KEPT = 3
RECORDS_LOOKED_AT = 20
"""Records of a file among which the first that some form recognises gives the file's form."""
ENDINGS = (".jsonl", ".json", ".parquet", ".jsonl.gz", ".json.gz")
"""How the names of data files end, where a folder of them is read."""


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
    options: ReadOptions | None = None,
    tiers: Collection[Tier] = (),
    skipped: Skipped | None = None,
) -> Iterator[Problem]:
    """Stream the problems of a data set; only their ids stay in memory.

    Args:
        path: the file, a folder of files, or APPS's folder.
        format: one of `FORMATS`; None takes the one that `detect` finds.
        options: how to read it.
        tiers: which to keep; an empty collection keeps all.
        skipped: counts records that are wrong, which are then left out; None raises at the first.

    Raises:
        BadRecord: names file, record and field; also with `skipped` where the rest of a file
            cannot be read.
        UnusableData: the data has no known form, or an option that its form does not have.
        OSError: the path cannot be opened.
    """
    path, options = Path(path), options or ReadOptions()
    format = format or detect(path, options)
    refuse_options(path, format, options)
    seen: set[str] = set()
    for item in _reading(path, format, options):
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


def refuse_options(path: Path, format: Format, options: ReadOptions) -> None:
    """Refuse options that a form does not have.

    Raises:
        UnusableData: names the option and the forms that have it.
    """
    given = {
        "release": options.release is not None,
        "dates": options.first_day is not None or options.last_day is not None,
        "split": options.split is not None and not path.is_dir(),
    }
    for name, is_given in given.items():
        if is_given and name not in format.options:
            having = ", ".join(known.name for known in FORMATS.values() if name in known.options)
            raise UnusableData(
                f"{path}: is read as {format.name}, which has no {name}; {having} has"
            )
    if options.split is not None and not path.is_dir():
        raise UnusableData(f"{path}: is one file, which has no splits; give its folder")
    if options.release is not None and not path.is_dir():
        raise UnusableData(f"{path}: is one file; a release is read from the folder of its files")


def detect(path: Path | str, options: ReadOptions | None = None) -> Format:
    """The form of a file or folder, by the keys of its records.

    Raises:
        UnusableData: no form has these keys, or a folder holds no data; names the nearest form and
            what is missing.
        BadRecord: the file cannot be read.
        OSError: nothing is there.
    """
    path, options = Path(path), options or ReadOptions()
    if path.is_dir():
        for format in FORMATS.values():
            if format.folders is not None and format.folders(path):
                return format
    first: tuple[Path, str, dict[str, Any]] | None = None
    fault: BadRecord | None = None
    for file in data_files(path, options.split):
        for record in islice(read_records(file), RECORDS_LOOKED_AT):
            if isinstance(record.fields, BadRecord):
                fault = fault or record.fields
                continue
            fields = at_paths(record.fields, options.keys)
            for format in (*FORMATS.values(), *([apps_plus.MAPPED] if options.keys else [])):
                if format.recognises(fields) and _is_own(format, fields, options):
                    _log_names(format, file, fields)
                    return format
            first = first or (file, record.where, fields)
        break
    if first is None:
        raise fault or UnusableData(f"{path}: no record in it")
    raise _unknown_form(*first)


def _is_own(format: Format, fields: Mapping[str, Any], options: ReadOptions) -> bool:
    """With `--map`, a record with other fields or tests than ours is not of our own form."""
    if format is not stepcoder.FORMAT or not options.keys:
        return True
    tests: Any = fields.get("tests", [])
    objects = isinstance(tests, list) and all(
        isinstance(test, dict) and "output" in test and test.keys() <= Test.model_fields.keys()
        for test in cast(list[Any], tests)
    )
    return objects and fields.keys() <= format.more_keys


def _log_names(format: Format, file: Path, fields: Mapping[str, Any]) -> None:
    if format.name == apps_plus.FORMAT.name:
        names = apps_plus.names_of(fields)
        used = ", ".join(f"{name} from {key!r}" for name, key in names.items())
        unread = ", ".join(repr(key) for key in fields if key not in names.values()) or "none"
        if unread != "none" or any(name != key for name, key in names.items()):
            logger.info("%s: %s; keys not read: %s", file, used, unread)


def _unknown_form(file: Path, where: str, fields: dict[str, Any]) -> UnusableData:
    nearest = max(FORMATS.values(), key=lambda format: format.likeness(fields))
    keys = reprlib.repr(list(fields))
    remedy = "--map FIELD=KEY says which key holds a field, --format NAME chooses another form"
    if nearest.likeness(fields)[0] <= 0.5:
        expected = "question, solution and tests"
        return UnusableData(f"{file}: {where}: no form has the keys {keys}; {remedy} ({expected})")
    missing = ", ".join(nearest.missing(fields))
    return UnusableData(
        f"{file}: {where}: {missing}: missing; looks like {nearest.name}, with the keys {keys}; "
        f"{remedy}"
    )


def data_files(path: Path, split: str | None = None) -> list[Path]:
    """The data files of a path: itself, or those of a folder and its subfolders, by name.

    Raises:
        UnusableData: the folder has none, or none of the split.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.name.endswith(ENDINGS))
    chosen = [file for file in files if split is None or _of_split(file.relative_to(path), split)]
    if not chosen:
        which = f" of split {split!r} (a file or folder named so)" if split and files else ""
        raise UnusableData(
            f"{path}: is a folder; expected a file, a folder of APPS with */question.txt, or a "
            f"folder of data files ({', '.join(ENDINGS[:3])}){which}"
        )
    return chosen


def _of_split(file: Path, split: str) -> bool:
    return any(part.startswith(split) for part in file.parts)


def _reading(path: Path, format: Format, options: ReadOptions) -> Iterator[Problem | BadRecord]:
    left_out = 0
    for file, record in _records(path, format, options):
        try:
            if isinstance(record.fields, BadRecord):
                raise record.fields
            reader = RecordReader(
                file,
                record.where,
                _named(record, options),
                index=record.index,
                levels=options.levels,
            )
            if format.chosen is None or format.chosen(reader, options):
                yield format.to_problem(reader)
            else:
                left_out += 1
        except BadRecord as error:
            if error.reason.startswith("missing"):
                reason = f"{error.reason}; read as {format.name}"
                error = BadRecord(error.path, error.record, error.field, reason)
            yield error
    if left_out:
        logger.info("%s: left out %d records outside the dates", path, left_out)


def _records(path: Path, format: Format, options: ReadOptions) -> Iterator[tuple[Path, Record]]:
    is_folder = path.is_dir() and format.folders is not None and format.folders(path)
    if is_folder and format.folder_records is not None:
        for record in format.folder_records(path, options.split):
            yield path, record
        return
    files = data_files(path, options.split)
    if options.release is not None and format.files_of_release is not None:
        files = format.files_of_release(files, options.release)
    for file in files:
        for record in read_records(file):
            yield file, record


def _named(record: Record, options: ReadOptions) -> dict[str, Any]:
    assert not isinstance(record.fields, BadRecord)
    fields = at_paths(record.fields, options.keys)
    return fields if record.key is None or "id" in fields else {"id": record.key, **fields}

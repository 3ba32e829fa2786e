"""Every data set form, and one reader for all of them."""

import difflib
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
from curriculum.datasets.key_paths import at_paths, has_path
from curriculum.datasets.reading.format import Format, ReadOptions
from curriculum.datasets.reading.map_use import MapUse
from curriculum.datasets.reading.record import RecordReader
from curriculum.datasets.record_stream import Record, read_records
from curriculum.errors import BadRecord, UnusableData
from curriculum.problem import Problem, Tier

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

MAPPED_FIRST = ("question", "solution", "tests")
"""What must be there for a record of no known form to be read."""
EXAMPLES_KEPT = 3
MAPPABLE = ("stepcoder", "apps_plus")
"""The forms that are read in one way where a user says where fields stand."""
JUDGED_BY = ("assertions", "checker", "comparison", "result_argument", "time_limit")
"""Fields of our own form that change verdicts: a form that lacks one does not read a record that
has it, where a user says where fields stand."""
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
    _check_keys(options.keys)
    format = format or detect(path, options)
    if options.keys and format.name in MAPPABLE:
        format = apps_plus.MAPPED
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


def _check_keys(keys: Mapping[str, str]) -> None:
    """Refuse to map a field that no form has."""
    known = {key for format in FORMATS.values() for key in format.known}
    for name in keys:
        if apps_plus.plain_key(name) not in known and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            said = f"did you mean {near[0]}?" if near else f"such as {', '.join(MAPPED_FIRST)}"
            raise UnusableData(f"--map {name}={keys[name]}: no form has a field {name!r}; {said}")


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
    first: tuple[Path, Record] | None = None
    fault: BadRecord | None = None
    for file in data_files(path, options.split):
        for record in islice(read_records(file), RECORDS_LOOKED_AT):
            if isinstance(record.fields, BadRecord):
                fault = fault or record.fields
                continue
            fields = at_paths(record.fields, options.keys)
            for format in _candidates(fields, options.keys):
                if format.recognises(fields):
                    _log_names(format, file, fields, options.keys)
                    return format
            first = first or (file, record)
        break
    if first is None and fault and not path.is_dir() and not path.name.endswith(ENDINGS):
        raise UnusableData(
            f"{path}: not JSON ({fault.record}: {fault.reason}); a data set is JSONL or JSON, each "
            f"plain or in gzip, or parquet: write a table as JSONL, one object a row"
        )
    if first is None:
        raise fault or UnusableData(f"{path}: no record in it")
    raise _unknown_form(*first, options.keys)


def _candidates(fields: Mapping[str, Any], mapped: Mapping[str, str]) -> Iterator[Format]:
    """The forms that a record may have, best first.

    With a map, a published form must have every field that is mapped and every field of our own
    form that the record holds; everything else is read in one way, our own form included.
    """
    if not mapped:
        yield from FORMATS.values()
        return
    wanted = {*mapped, *(key for key in JUDGED_BY if fields.get(key) is not None)}
    for format in FORMATS.values():
        if format.name not in MAPPABLE and wanted <= format.known:
            yield format
    yield apps_plus.MAPPED


def _log_names(
    format: Format, file: Path, fields: Mapping[str, Any], mapped: Mapping[str, str]
) -> None:
    if format in (apps_plus.FORMAT, apps_plus.MAPPED):
        names = apps_plus.names_of(fields, mapped)
        if mapped or any(name != key for name, key in names.items()):
            used = ", ".join(f"{name} from {mapped.get(key, key)!r}" for name, key in names.items())
            logger.info("%s: %s", file, used)


def _unknown_form(file: Path, record: Record, mapped: Mapping[str, str]) -> UnusableData:
    """What a user can do about a record that no form recognises."""
    assert not isinstance(record.fields, BadRecord)
    place, keys = f"{file}: {record.where}", reprlib.repr(list(record.fields))
    if holder := next((key for key, value in record.fields.items() if _is_records(value)), None):
        return UnusableData(
            f"{place}: no form has the keys {keys}; the records seem to stand in {holder!r}: write "
            f"that list alone to a file, and convert it"
        )
    if nowhere := [name for name in mapped if not has_path(record.fields, mapped[name])]:
        said = " ".join(f"{name}={mapped[name]}" for name in nowhere)
        return UnusableData(f"{place}: --map {said}: leads nowhere; the keys are {keys}")
    fields = at_paths(record.fields, mapped)
    nearest = max(FORMATS.values(), key=lambda format: format.likeness(fields))
    if not mapped and nearest.likeness(fields)[0] > 0.5:
        missing = ", ".join(nearest.missing(fields))
        return UnusableData(
            f"{place}: {missing}: missing; looks like {nearest.name}, with the keys {keys}; "
            f"--map FIELD=KEY says which key holds a field, --format NAME chooses another form"
        )
    present = apps_plus.names_of(fields)
    tests = {"inputs", "input_output", "tests"} & present.keys()
    missing = [
        name for name in MAPPED_FIRST if name not in present and not (name == "tests" and tests)
    ]
    example = " ".join(f"{name}=KEY" for name in missing)
    return UnusableData(
        f"{place}: no form has the keys {keys}; say which keys hold {', '.join(missing)}: "
        f"--map {example}, or choose another form: --format NAME"
    )


def _is_records(value: Any) -> bool:
    """Whether a value is a list of objects that could be problems, rather than tests."""
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return False
    first = cast(dict[str, Any], value[0])
    return len(first) > 2 and not first.keys() & {"input", "output", "inputs", "outputs"}


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
    use = MapUse(path, options, format.name)
    for file, record in _records(path, format, options):
        try:
            if isinstance(record.fields, BadRecord):
                raise record.fields
            fields = _with_id(record, record.fields, options.keys)
            placed = use.place(fields)
            reader = RecordReader(
                file,
                record.where,
                placed,
                index=record.index,
                levels=use.levels,
                mapped=options.keys,
            )
            if format.chosen is None or format.chosen(reader, options):
                problem = format.to_problem(reader)
                if options.keys or format is apps_plus.FORMAT:
                    use.count(fields, placed)
                yield problem
            else:
                left_out += 1
        except BadRecord as error:
            yield _explained(error, format, options.keys)
    if left_out:
        logger.info("%s: left out %d records outside the dates", path, left_out)
    use.report()


def _explained(error: BadRecord, format: Format, mapped: Mapping[str, str]) -> BadRecord:
    """An error about a missing field, with how the record is read."""
    if not error.reason.startswith("missing"):
        return error
    reason = f"{error.reason}; read as {format.name}"
    if error.field in mapped:
        reason = f"missing; --map {error.field}={mapped[error.field]} leads nowhere in this record"
    return BadRecord(error.path, error.record, error.field, reason)


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


def _with_id(record: Record, fields: dict[str, Any], mapped: Mapping[str, str]) -> dict[str, Any]:
    """A record's fields, with the id that its document gives it and nothing else does."""
    if record.key is None or "id" in fields or "id" in mapped:
        return fields
    return {"id": record.key, **fields}

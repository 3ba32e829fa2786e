"""One record of a data set: its fields with errors that name file, record and field."""

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from curriculum.datasets.jsonl import json_limit
from curriculum.datasets.problem_file import parse_problem
from curriculum.datasets.record_stream import json_kind
from curriculum.errors import BadRecord
from curriculum.problem import TIERS, Problem, Tier
from curriculum.syntax import UNPARSABLE, parse, syntax_fault

T = TypeVar("T")

TAB_COLUMNS = 4
_FENCED = re.compile(r"```[\w.+-]*[ ]*\n(?P<code>(?:(?!```).*\n)*)```")

_SECONDS = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)\s*(?:(?P<milli>ms|milliseconds?)|s|secs?|seconds?)?\.?", re.I
)


class RecordReader:
    r"""Reads the fields of one record and makes its problem.

    Args:
        path: the file or folder.
        where: the record's place in it, for error messages.
        fields: its values by field name.
        index: the record's number in the file, from 0.
        levels: tiers by the data set's own levels, in lower case, where the user gives them.
        mapped: where the user says that fields stand, by field (`--map`).

    Example:
        >>> record = RecordReader(Path("a.jsonl"), "record 0", {"text": "Add.\r\n"})
        >>> record.text("text")
        'Add.\n'
    """

    def __init__(
        self,
        path: Path,
        where: str,
        fields: dict[str, Any],
        *,
        index: int = 0,
        levels: Mapping[str, Tier] | None = None,
        mapped: Mapping[str, str] | None = None,
    ):
        self.path, self.where, self.fields, self.index = path, where, fields, index
        self.mapped = mapped or {}
        self._levels = levels

    def within(self, fields: dict[str, Any]) -> "RecordReader":
        """A reader of other fields of the same record."""
        return RecordReader(
            self.path,
            self.where,
            fields,
            index=self.index,
            levels=self._levels,
            mapped=self.mapped,
        )

    def get(self, name: str) -> Any:
        """A field's value as it is; None where it is missing."""
        return self.fields.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        r"""A field that is text, with its line ends as `\n` and without a byte-order mark.

        Raises:
            BadRecord: it is not text, or it is missing and there is no default.
        """
        value = self.fields.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.wrong_kind(name, "text")
        return value.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")

    def code(self, name: str, default: str | None = None) -> str:
        """A field that is Python, without a fence around it, and with leading tabs as spaces where
        that changes nothing else."""
        return without_tabs(unfenced(self.text(name, default)))

    def texts(self, name: str) -> list[str]:
        """A field that is a list of texts; raises `BadRecord` for anything else."""
        value = self.fields.get(name)
        if not _is_texts(value):
            raise self.wrong_kind(name, "a list of texts")
        return cast(list[str], value)

    def decoded(self, name: str) -> Any:
        """A field that may be packed as a JSON string; raises `BadRecord` for text that is not
        JSON."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            return value
        if not value.strip():
            raise self.error(name, "empty")
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise self.error(name, f"text that is not JSON: {error}") from None
        except (ValueError, RecursionError) as error:
            raise self.error(name, json_limit(error)) from None

    def tier(self, name: str, levels: Mapping[str, Tier], default: Tier | None = None) -> Tier:
        """A field that grades the problem, as text or as an integer.

        Args:
            name: the field.
            levels: its values, as lower-case text (`"1"` for the integer 1), to tiers.
            default: of a record whose field is missing, null or empty.

        Raises:
            BadRecord: no such level, or it is missing and there is no default.
        """
        value = self.fields.get(name)
        levels = levels if self._levels is None else self._levels
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value in (None, "") and default is not None:
            return default
        level = str(value).strip().lower() if isinstance(value, str | int) else ""
        if level not in levels:
            if name not in self.fields:
                raise self.error(name, "missing")
            reason = f"{value!r} is none of {', '.join(levels)}"
            shown = str(value).strip() if level else "LEVEL"
            remedy = f"say which tier it means, such as --tiers {shown}=interview"
            raise self.error(name, f"{reason}; {remedy} (of {', '.join(TIERS)})")
        return levels[level]

    def seconds(self, name: str) -> Any:
        """A field that is a number of seconds, perhaps with its unit: `2.0 seconds`, `500 ms`.

        None where it is missing or says `none`. A number is given back as it is.

        Raises:
            BadRecord: another text.
        """
        value = self.fields.get(name)
        if not isinstance(value, str):
            return value
        text = value.strip()
        if text.lower() in ("", "none", "null"):
            return None
        match = _SECONDS.fullmatch(text)
        if match is None or not float(match["number"]):
            raise self.error(name, f"{text!r} is no number of seconds")
        return float(match["number"]) / (1000 if match["milli"] else 1)

    def python(self, name: str, source: str) -> str:
        """A field's source again; raises `BadRecord` where it is not Python 3."""
        try:
            parse(source)
        except UNPARSABLE as error:
            raise self.error(name, f"not Python 3: {syntax_fault(error)}") from None
        return source

    def first_python(self, name: str, sources: Sequence[str]) -> str:
        """The first of some sources of a field that is Python 3, with line ends as in `text`."""
        for source in sources:
            text = unfenced(self.within({name: source}).text(name))
            if text.strip() and parses(text):
                return text
        reason = f"none of {len(sources)} is Python 3" if sources else "none"
        raise self.error(name, reason)

    def convert(self, name: str, function: Callable[[str], T], text: str | None = None) -> T:
        """Apply a function to a field's text, or to `text` where that was made from the field.

        A `ValueError`, or a source that does not parse, becomes a `BadRecord` about the field.
        """
        value = self.text(name) if text is None else text
        try:
            return function(value)
        except UNPARSABLE as error:
            raise self.error(name, syntax_fault(error)) from None

    def tests(self, inputs: str, outputs: str, call_based: bool) -> list[dict[str, Any]]:
        """Tests from two fields that are lists of equal length, each perhaps a JSON string.

        For a program on stdin, an input or output may be a list of lines.
        """
        columns: list[list[Any]] = []
        for name in (inputs, outputs):
            column = self.decoded(name)
            if not isinstance(column, list):
                raise self.wrong_kind(name, "a list", column)
            columns.append(cast(list[Any], column))
        if len(columns[0]) != len(columns[1]):
            reason = f"{len(columns[1])} outputs for {len(columns[0])} inputs"
            raise self.error(outputs, reason)
        if not call_based:
            columns = [[_joined_lines(value) for value in column] for column in columns]
        return [{"input": i, "output": o} for i, o in zip(*columns, strict=True)]

    def problem(self, **fields: Any) -> Problem:
        """The problem with these fields; raises `BadRecord` where they do not make one."""
        return parse_problem(fields, self.path, self.where)

    def error(self, name: str, reason: str) -> BadRecord:
        """The error to raise about a field."""
        return BadRecord(self.path, self.where, name, reason)

    def wrong_kind(self, name: str, wanted: str, value: Any = None) -> BadRecord:
        """The error to raise about a field that is missing or of another type than `wanted`.

        `value` is the field's value where it was decoded first.
        """
        if name not in self.fields:
            return self.error(name, "missing")
        kind = json_kind(self.fields[name] if value is None else value)
        return self.error(name, f"must be {wanted}, not {kind}")


def unfenced(source: str) -> str:
    """A source without the code fence in which some data sets keep it."""
    found = _FENCED.fullmatch(source.strip()) if source.lstrip().startswith("```") else None
    return found["code"] if found else source


def without_tabs(source: str) -> str:
    """A source with each tab of its indentation as four columns.

    Tabs elsewhere stay. All of them stay where the source does not parse, or would parse as another
    program (a tab that begins a line inside a string).
    """
    if "\t" not in source:
        return source
    expanded = _expand_indentation(source)
    meaning = _syntax_dump(source)
    return expanded if meaning is not None and _syntax_dump(expanded) == meaning else source


def starter_without_tabs(starter: str, solution: str) -> str:
    """Starter code with the same tabs replaced as in the solution that may begin with it.

    Starter code alone often does not parse. `solution` is as it stands in the file.
    """
    return starter if without_tabs(solution) == solution else _expand_indentation(starter)


def parses(source: str) -> bool:
    """Whether Python can parse a source."""
    return _syntax_dump(source) is not None


def _expand_indentation(source: str) -> str:
    lines = source.split("\n")
    for index, line in enumerate(lines):
        code = line.lstrip(" \t")
        lines[index] = line[: len(line) - len(code)].expandtabs(TAB_COLUMNS) + code
    return "\n".join(lines)


def _syntax_dump(source: str) -> str | None:
    try:
        return ast.dump(parse(source))
    except UNPARSABLE:
        return None


def _is_texts(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return all(isinstance(line, str) for line in cast(list[Any], value))


def _joined_lines(value: Any) -> Any:
    return "\n".join(value) if _is_texts(value) else value

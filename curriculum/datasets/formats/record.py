"""One record's fields, read with complaints that name file, record and field."""

import ast
import json
from pathlib import Path
from typing import Any

from curriculum.errors import BadRecord
from curriculum.syntax import UNPARSABLE, parse

TAB_COLUMNS = 4


class Fields:
    """The fields of one record of a file.

    Example:
        >>> fields = Fields(Path("a.jsonl"), "record 0", {"text": "Add."})
        >>> fields.text("text")
        'Add.'
    """

    def __init__(self, path: Path, where: str, record: dict[str, Any]):
        self.path, self.where, self.record = path, where, record

    def text(self, name: str, default: str | None = None) -> str:
        r"""A text with its line ends as `\n`; raises `BadRecord` where it is missing or no text."""
        value = self.record.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            found = "missing" if value is None else f"text is wanted, not {type(value).__name__}"
            raise self.bad(name, found)
        return value.replace("\r\n", "\n").replace("\r", "\n")

    def code(self, name: str, default: str | None = None) -> str:
        """A text of Python with leading tabs as spaces, where that changes nothing else."""
        return without_tabs(self.text(name, default))

    def decoded(self, name: str) -> Any:
        """A value that may be packed as a JSON string; raises `BadRecord` where it is no JSON."""
        value = self.record.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise self.bad(name, f"text that is not JSON: {error}") from None

    def bad(self, name: str, reason: str) -> BadRecord:
        """What to raise about a field."""
        return BadRecord(self.path, self.where, name, reason)


def without_tabs(source: str) -> str:
    """A source with the tabs of its indentation as four columns.

    Tabs elsewhere stay; so do all of them where the source does not parse, or would parse as
    another program (a tab that begins a line inside a string).
    """
    if "\t" not in source:
        return source
    expanded = _expanded(source)
    meaning = _tree(source)
    return expanded if meaning is not None and _tree(expanded) == meaning else source


def starter_without_tabs(starter: str, solution: str) -> str:
    """Starter code as the solution that it may begin: with the same tabs replaced, or none.

    Starter code alone often does not parse. `solution` is as it stands in the file.
    """
    return starter if without_tabs(solution) == solution else _expanded(starter)


def parses(source: str) -> bool:
    """Whether Python can parse a source."""
    return _tree(source) is not None


def _expanded(source: str) -> str:
    lines = source.split("\n")
    for index, line in enumerate(lines):
        code = line.lstrip(" \t")
        lines[index] = line[: len(line) - len(code)].expandtabs(TAB_COLUMNS) + code
    return "\n".join(lines)


def _tree(source: str) -> str | None:
    try:
        return ast.dump(parse(source))
    except UNPARSABLE:
        return None

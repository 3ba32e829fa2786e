"""Programs whose behaviour depends on the interpreter around them, each with its stdin."""

import ast
from pathlib import Path
from typing import NamedTuple

STDIN = "3\n1 2 3\n"
_MARK = "# stdin: "


class CorpusProgram(NamedTuple):
    source: str
    stdin: str


def _read() -> dict[str, CorpusProgram]:
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    programs: dict[str, CorpusProgram] = {}
    for section in text.split("=== ")[1:]:
        name, _, source = section.partition("\n")
        first = source.partition("\n")[0]
        stdin = ast.literal_eval(first.removeprefix(_MARK)) if first.startswith(_MARK) else STDIN
        programs[name] = CorpusProgram(source, stdin)
    return programs


CORPUS = _read()

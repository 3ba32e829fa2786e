"""The shell commands of the documentation, as a reader would copy them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "*/README.md", "actors/*.md")
    for path in ROOT.glob(pattern)
)

_FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    \S.*\n)+", re.MULTILINE)
_SHELL = re.compile(r"\s*(make|stepcoder|\.venv/bin/|ray|export) ?")
_INLINE = re.compile(r"`((?:make|stepcoder) [^`]+)`")


@dataclass(frozen=True)
class Command:
    """One command of a page."""

    page: Path
    """The page, relative to the repository."""
    text: str
    """The command on one line, without its comment."""

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return Path(self.text.split()[0]).name

    @property
    def arguments(self) -> list[str]:
        """What follows the program."""
        return shlex.split(self.text)[1:]

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def block_commands() -> Iterator[Command]:
    """Commands in blocks of their own, fenced as `sh` or indented."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        blocks = _FENCE.findall(text)
        blocks += [block for block in _INDENTED.findall(text) if _SHELL.match(block)]
        for block in blocks:
            for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines():
                command = re.sub(r"\s+#.*", "", line.strip())
                if command:
                    yield Command(page, command)


def inline_commands() -> Iterator[Command]:
    """`make ...` and `stepcoder ...` within sentences."""
    for page in PAGES:
        for text in _INLINE.findall((ROOT / page).read_text().replace("\n", " ")):
            yield Command(page, text)

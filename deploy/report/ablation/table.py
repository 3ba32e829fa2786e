"""A table as plain data, which console, Markdown and page draw alike."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from deploy.ablation.estimates import Estimate


@dataclass(frozen=True)
class IntervalCell:
    """A figure with its interval, where it has one."""

    text: str
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return self.text


Cell = str | IntervalCell
LINE_WIDTH = 120
"""Characters of a line of Markdown."""


@dataclass(frozen=True)
class TextTable:
    """Rows under headings, with a sentence on what is shown."""

    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: int = 1
    """Columns from the left that hold words; the others hold figures."""

    def as_record(self) -> dict[str, Any]:
        """Plain data for the page's script."""
        return {
            "title": self.title,
            "caption": self.caption,
            "columns": list(self.columns),
            "words": self.words,
            "rows": [
                [cell if isinstance(cell, str) else vars(cell) for cell in row] for row in self.rows
            ],
        }


def estimate_cell(estimate: Estimate | None, signed: bool = False, extra: str = "") -> Cell:
    """A mean with its interval; without one, with the number of seeds that were too few for it."""
    if estimate is None:
        return "–"
    form = "+.3f" if signed else ".3f"
    text = f"{estimate.mean:{form}}"
    if estimate.low is None or estimate.high is None:
        return text + extra
    text += f" [{estimate.low:{form}}, {estimate.high:{form}}]{extra}"
    return IntervalCell(text, estimate.mean, estimate.low, estimate.high)


def wrapped(text: str) -> str:
    """A paragraph of Markdown in lines of the repository's width."""
    return textwrap.fill(text, LINE_WIDTH, break_long_words=False, break_on_hyphens=False)


def as_markdown(table: TextTable, level: int) -> Iterator[str]:
    """The lines of a table under a heading of this level."""
    yield from (f"{'#' * level} {table.title}", "", wrapped(table.caption), "")
    yield f"| {' | '.join(table.columns)} |"
    figures = len(table.columns) - table.words
    yield f"|{'---|' * table.words}{'---:|' * figures}"
    for row in table.rows:
        yield f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in row)} |"
    yield ""


def print_table(table: TextTable, console: Console) -> None:
    """Print a table with its caption."""
    drawn = RichTable(box=box.ROUNDED)
    for position, heading in enumerate(table.columns):
        justify = "left" if position < table.words else "right"
        drawn.add_column(Text(heading), justify=justify, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    console.print(f"\n[bold]{table.title}[/bold]")
    console.print(Text(table.caption), style="dim")
    console.print(drawn)

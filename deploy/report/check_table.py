"""The table that `stepcoder check` ends with."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from deploy.machine.part import Figure, PartResult


def print_check(results: Sequence[PartResult], console: Console | None = None) -> None:
    """Print every part with its figures, then what failed with its remedy."""
    table = Table(title="check", title_justify="left", title_style="bold")
    for heading in ("part", "figure", "value", "must be", ""):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for result in results:
        status = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}[result.status]
        took = f", {result.seconds:.0f} s" if result.seconds else ""
        reason = f": {result.reason}" if result.status == "skipped" else ""
        table.add_row(f"{result.name}", f"{result.what}{took}{reason}", "", "", status)
        for figure in result.figures:
            mark = "" if not figure.limit else "ok" if figure.ok else "FAILED"
            table.add_row("", f"  {figure.name}", _value(figure), figure.limit, mark)
        table.add_section()
    console = console or Console(width=130, highlight=False)
    console.print(table)
    for result in results:
        if result.status != "failed":
            continue
        if result.reason:
            text = f"{result.name}: {result.reason}\n  remedy: {result.remedy}"
            console.print(text, markup=False)
        for figure in result.figures:
            if not figure.ok:
                console.print(f"{result.name}: {figure.name}: {_value(figure)}")
                console.print(f"  remedy: {figure.remedy}", markup=False)


def _value(figure: Figure) -> str:
    value = figure.value
    text = f"{value:,}" if isinstance(value, int) else value
    text = f"{value:.4g}" if isinstance(value, float) else text
    return f"{text} {figure.unit}".strip()

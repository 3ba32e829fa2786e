"""The tables of a grid in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from deploy.ablation.grid import Grid
from deploy.report.ablation.markdown import how_made
from deploy.report.ablation.table import print_table
from deploy.report.ablation.tables import grid_tables


def print_grid(grid: Grid, console: Console | None = None) -> None:
    """Print how a grid was made, and its tables."""
    console = console or Console(width=140, highlight=False)
    console.print(Text(f"\n{grid.name}: {how_made(grid)}"))
    for note in grid.notes():
        console.print(Text(f"note: {note}"), style="yellow")
    for table in grid_tables(grid):
        print_table(table, console)

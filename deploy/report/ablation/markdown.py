"""The Markdown page of stored results: `docs/results.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploy.ablation.grid import Grid
from deploy.report.ablation.paper import paper_table
from deploy.report.ablation.table import as_markdown, wrapped
from deploy.report.ablation.tables import grid_tables

BEGINNING = """\
# Results

What the paper claims, measured here: every arm is the same training but for its switch, from one
warm start, with the same samples and optimizer steps. [Ablations](ablation.md) says how it is done
and how to repeat it. This page is written from the stored result files by
`stepcoder ablate report docs/results --markdown docs/results.md`; a test compares the two.
"""
NONE_STORED = """\
No results are stored yet. `make ablation` runs the grid; `stepcoder ablate report` then writes this
page from the files that it stores.
"""


def results_markdown(grids: Sequence[Grid]) -> str:
    """The whole page of some grids; without any, how to make one."""
    lines = [BEGINNING]
    for grid in grids:
        lines += [f"## {grid.name}", "", wrapped(how_made(grid)), ""]
        if notes := grid.notes():
            lines += [*(f"- {note}" for note in notes), ""]
        for table in grid_tables(grid):
            lines += as_markdown(table, 3)
    if not grids:
        lines.append(NONE_STORED)
    lines += as_markdown(paper_table(), 2)
    return "\n".join(lines).rstrip("\n") + "\n"


def how_made(grid: Grid) -> str:
    """How the runs of a grid were made, in a paragraph."""
    runs = grid.runs
    return " ".join(_sentences(grid)) if runs else ""


def _sentences(grid: Grid) -> Iterator[str]:
    runs, first = grid.runs, grid.runs[0]
    seeds = grid.seeds
    named = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
    yield f"{_count(len(runs), 'run')} of {_count(first.steps, 'step')}: " + (
        f"{_count(len(grid.arms), 'arm')}, {named}."
    )
    machines = sorted({f"{run.machine.processor}, {run.machine.cores} cores" for run in runs})
    yield f"Made on {'; '.join(machines)}"
    dates = sorted({run.date for run in runs})
    commits = sorted({(run.commit or "unknown")[:12] for run in runs})
    on = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    yield f"({on}, commit {', '.join(commits)}; sandboxes: {_joined({r.isolation for r in runs})})."
    yield f"{sum(run.seconds['total'] for run in runs) / 3600:.1f} hours in all."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _joined(values: set[str]) -> str:
    return ", ".join(sorted(values))

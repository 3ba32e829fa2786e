"""What every benchmark does with its figures: a log line each, one table, one JSON file, an exit
status.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from curriculum.files import write_atomic
from deploy.versions import git_commit, package_versions

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One measured number beside what it must reach."""

    name: str
    """A stable word in snake case."""
    value: float
    unit: str
    baseline: str
    """What it is measured against."""
    target: float | None
    """What it must reach; None where the figure is only shown."""
    moonshot: float | None
    """What would be outstanding."""
    ok: bool
    """Whether the target is reached; true where there is none."""
    samples: tuple[float, ...] = ()
    """The single measurements that `value` sums up."""


def ratio(
    name: str,
    samples: Sequence[float],
    baseline: str,
    target: float | None,
    moonshot: float | None,
    lower: bool = False,
) -> Figure:
    """The median of ratios.

    Args:
        name: of the figure.
        samples: one ratio per round.
        baseline: what the ratios divide by.
        target: what the median must reach, if anything.
        moonshot: what would be outstanding.
        lower: whether smaller is better.
    """
    value = statistics.median(samples)
    ok = target is None or (value <= target if lower else value >= target)
    return Figure(name, value, "x", baseline, target, moonshot, ok, tuple(samples))


def count(name: str, value: int, unit: str, at_least: int | None) -> Figure:
    """A number that must reach `at_least`, or be at most 0 where that is None."""
    ok = value <= 0 if at_least is None else value >= at_least
    return Figure(name, value, unit, "", at_least or 0, None, ok, (value,))


def run_benchmark(name: str, figures: Iterable[Figure], folder: Path) -> int:
    """Measure, print the table, write `<folder>/<name>.json`.

    Args:
        name: of the benchmark and of its file.
        figures: measured while they are drawn from the iterable; each is logged at once.
        folder: where the file goes.

    Returns:
        The exit status: 0 if every figure reached its target, else 1.
    """
    measured = []
    for figure in figures:
        logger.info("%s %.4g %s", figure.name, figure.value, figure.unit)
        measured.append(figure)
    print_figures(name, measured)
    logger.info("written: %s", write_record(name, measured, folder))
    return 0 if all(figure.ok for figure in measured) else 1


def write_record(bench: str, figures: Sequence[Figure], folder: Path) -> Path:
    """Write `<folder>/<bench>.json`, whole or not at all; returns its path."""
    record = {
        "bench": bench,
        "commit": git_commit(),
        "machine": machine(),
        "versions": package_versions(),
        "figures": [dataclasses.asdict(figure) for figure in figures],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{bench}.json"
    write_atomic(path, json.dumps(record, indent=1) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Processor architecture, cores, kernel, and the load average at the benchmark's end."""
    return {
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def print_figures(title: str, figures: Sequence[Figure], console: Console | None = None) -> None:
    """One row per figure: value, spread, what it is measured against, target, moonshot."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("figure", "value", "min", "max", "against", "target", "moonshot", ""):
        right = heading in ("value", "min", "max", "target", "moonshot")
        table.add_column(heading, justify="right" if right else "left")
    for figure in figures:
        spread = figure.samples if len(figure.samples) > 1 else ()
        table.add_row(
            figure.name,
            f"{figure.value:{',' if isinstance(figure.value, int) else '.4g'}} {figure.unit}",
            f"{min(spread):.4g}" if spread else "",
            f"{max(spread):.4g}" if spread else "",
            figure.baseline,
            "" if figure.target is None else f"{figure.target:g}",
            "" if figure.moonshot is None else f"{figure.moonshot:g}",
            "ok" if figure.ok else "MISSED",
        )
    (console or Console(width=130, highlight=False)).print(table)

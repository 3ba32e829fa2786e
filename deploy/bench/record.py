"""What a benchmark leaves: one table for a person, one JSON file for a program."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.versions import git_commit, package_versions


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One measured number beside what it must reach."""

    name: str
    value: float
    unit: str
    baseline: str
    """What it is measured against."""
    target: float | None
    moonshot: float | None
    ok: bool
    samples: tuple[float, ...] = ()


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
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(partial, path)
    return path


def machine() -> dict[str, Any]:
    """Processor architecture, cores, kernel, and the load average as the benchmark ended."""
    return {
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def print_figures(title: str, figures: Sequence[Any], console: Console | None = None) -> None:
    """One row per figure: value, spread, what it is measured against, target, moonshot."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("figure", "value", "min", "max", "against", "target", "moonshot", ""):
        right = heading in ("value", "min", "max", "target", "moonshot")
        table.add_column(heading, justify="right" if right else "left")
    for one in figures:
        spread = one.samples if len(one.samples) > 1 else ()
        table.add_row(
            one.name,
            f"{one.value:{',' if isinstance(one.value, int) else '.4g'}} {one.unit}",
            f"{min(spread):.4g}" if spread else "",
            f"{max(spread):.4g}" if spread else "",
            one.baseline,
            "" if one.target is None else f"{one.target:g}",
            "" if one.moonshot is None else f"{one.moonshot:g}",
            "ok" if one.ok else "MISSED",
        )
    (console or Console(width=130, highlight=False)).print(table)

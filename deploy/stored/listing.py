"""The runs that a folder of runs holds, for the message of a command that was given it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

MOST = 8
"""Runs that a message names."""


def runs_in(folder: Path) -> str:
    """The end of a message on a folder that is none of a run: which runs are in it."""
    found = (path.parent for path in sorted(folder.glob("*/config.yaml")))
    return holds([str(path) for path in islice(found, MOST + 1)])


def holds(runs: Sequence[str]) -> str:
    """The end of a message that names runs; empty where there are none."""
    if not runs:
        return ""
    more = ", ..." if len(runs) > MOST else ""
    return f"; give one of those in it: {', '.join(runs[:MOST])}{more}"

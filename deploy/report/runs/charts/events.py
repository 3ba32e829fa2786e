"""Events of a run: actors that were started again, samples that were dropped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from deploy.report.runs.charts.chart import Mark
from deploy.report.runs.groups import RunGroup
from deploy.report.runs.history import RunHistory

ROLES = ("rollout", "collector", "learner", "sandbox")
_DROPPED = "ledger/dropped"


def marks(group: RunGroup) -> list[Mark]:
    """The events of all runs of a group, in order."""
    return sorted((mark for run in group.runs for mark in _of(run)), key=lambda mark: mark.step)


def _of(run: RunHistory) -> Iterator[Mark]:
    none: dict[str, Any] = {f"restarts/{role}": 0.0 for role in ROLES}
    for before, row in pairwise([none, *run.steps]):
        for role in ROLES:
            key = f"restarts/{role}"
            count = int(row.get(key, 0) - before.get(key, 0))
            if count > 0:
                times = "" if count == 1 else f" {count} times"
                yield Mark(row["step"], "restart", f"{role} started again{times}")
        if dropped := int(row.get(_DROPPED, 0)):
            yield Mark(row["step"], "drop", f"{dropped} samples dropped")

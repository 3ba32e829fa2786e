"""Runs that differ in their seeds alone are one group; what differs between groups is a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean
from typing import Any

from deploy.report.runs.history import NAMES, SEEDS, RunHistory

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Curve:
    """One figure of a group by step: the mean over its runs, and the lowest and highest of them."""

    steps: list[int]
    mean: list[float]
    low: list[float] | None = None
    """None where the group has one run."""
    high: list[float] | None = None


@dataclass(frozen=True)
class RunGroup:
    """Runs of one configuration, except for their seeds."""

    label: str
    runs: tuple[RunHistory, ...]

    def curve(self, points: Callable[[RunHistory], Points]) -> Curve | None:
        """A figure over the runs that recorded it, at every step that any of them has."""
        values: dict[int, list[float]] = {}
        for run in self.runs:
            for step, value in points(run):
                values.setdefault(step, []).append(value)
        if not values:
            return None
        steps = sorted(values)
        mean = [fmean(values[step]) for step in steps]
        if len(self.runs) == 1:
            return Curve(steps, mean)
        low, high = ([pick(values[step]) for step in steps] for pick in (min, max))
        return Curve(steps, mean, low, high)

    def column(self, name: str) -> Curve | None:
        """The curve of one figure of steps."""
        return self.curve(lambda run: run.column(name))

    @property
    def columns(self) -> set[str]:
        """The names of all figures of steps."""
        return set().union(*(run.columns for run in self.runs))


def group_runs(runs: Sequence[RunHistory]) -> list[RunGroup]:
    """Groups in the order of their first runs, with distinct labels."""
    by_digest: dict[str, list[RunHistory]] = {}
    for run in runs:
        by_digest.setdefault(run.digest(), []).append(run)
    names = [_label(group) for group in by_digest.values()]
    labels = [
        name if names.count(name) == 1 else f"{name} ({group[0].folder})"
        for name, group in zip(names, by_digest.values(), strict=True)
    ]
    return [
        RunGroup(label, tuple(group))
        for label, group in zip(labels, by_digest.values(), strict=True)
    ]


def _label(group: Sequence[RunHistory]) -> str:
    if len(group) == 1:
        return group[0].name
    letters = zip(*(run.name for run in group), strict=False)
    common = "".join(same[0] for same in takewhile(lambda same: len(set(same)) == 1, letters))
    common = common.rstrip("-_. 0123456789").removesuffix("seed").rstrip("-_. ") or group[0].name
    seeds = {tuple(run.config.get(key) for key in sorted(SEEDS)) for run in group}
    return f"{common}, {len(group)} {'seeds' if len(seeds) == len(group) else 'runs'}"


def differences(runs: Sequence[RunHistory]) -> list[tuple[str, list[Any]]]:
    """Every key in which some runs differ, beside their names, with each run's value."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    rows = [(key, [run.config.get(key) for run in runs]) for key in keys if key not in NAMES]
    return [(key, values) for key, values in rows if any(value != values[0] for value in values)]


def group_differences(groups: Sequence[RunGroup]) -> list[tuple[str, list[Any]]]:
    """As `differences`, between groups, without the seeds."""
    return [row for row in differences([g.runs[0] for g in groups]) if row[0] not in SEEDS]

"""Charts of the curriculum: a heat map of problems by steps, and how much of solutions is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from curriculum.problem import TIERS
from curriculum.subtask import FULL_TASK
from deploy.report.runs.charts.chart import Chart, Heat, Panel
from deploy.report.runs.charts.learning import by_tier, overlay
from deploy.report.runs.groups import RunGroup
from deploy.report.runs.history import RunHistory

MOST_ROWS = 240
MOST_COLUMNS = 200
OVERALL = "overall"


def curriculum_charts(groups: Sequence[RunGroup]) -> Iterator[Chart]:
    """The heat map of each group's first run, and the curves of the whole."""
    panels = []
    for group in groups:
        run = group.runs[0]
        heat = stage_heat(run)
        # Seeds have different ways, so a group shows its first run's.
        title = f"{group.label}: {run.name}" if len(group.runs) > 1 else group.label
        if heat is not None:
            panels.append(Panel("" if len(groups) == len(group.runs) == 1 else title, heat=heat))
    yield Chart(
        "curriculum", "Every problem's way through the curriculum",
        "One row for each problem, by tier and by when it reached the full task. The scale goes "
        "from the longest prefix, which the policy completes, to the whole program.",
        "heat", "share", panels, wide=True,
    )  # fmt: skip
    yield overlay(
        groups, "revealed", "Revealed share",
        "Mean share of the canonical solution that the prompts of a step gave as prefix.",
        "share", [("revealed", "first", "curriculum/revealed")], whole=True,
    )  # fmt: skip
    yield by_tier(
        groups, "full-task-share", "Problems at the full task",
        "Share of the training problems whose curriculum has reached the full task.",
        lambda tier: lambda group: group.column(
            "curriculum/full_task_share" + ("" if tier == OVERALL else f"/{tier}")
        ),
    )  # fmt: skip


def stage_heat(run: RunHistory) -> Heat | None:
    """How far each problem has come after each step: 0 at its first stage, 1 at the full task.

    Rows are sorted by tier, then by when a problem reaches the full task. Of more rows or columns
    than a screen shows, neighbouring ones are averaged.
    """
    if not run.curriculum or "problems" not in run.curriculum[0]:
        return None
    problems: dict[str, list] = run.curriculum[0]["problems"]
    steps = run.curriculum[1:]
    counts = {key: count for key, (_, count, _) in problems.items()}
    ways: dict[str, list[float]] = {key: [] for key in problems}
    stages = {key: stage for key, (_, _, stage) in problems.items()}
    for row in steps:
        stages |= row["stages"]
        counts |= row.get("counts", {})
        for key, stage in stages.items():
            left = stage - FULL_TASK
            ways[key].append(1 - left / counts[key] if counts[key] else 1.0)
    if not steps:
        return None
    ordered: list[str] = []
    bands = []
    for tier in TIERS:
        of_tier = [key for key, (its_tier, _, _) in problems.items() if its_tier == tier]
        if of_tier:
            ordered += sorted(of_tier, key=lambda key: (-sum(ways[key]), key))
            bands.append((tier, len(of_tier)))
    size = -(-len(ordered) // MOST_ROWS)
    width = -(-len(steps) // MOST_COLUMNS)
    rows: list[str] = []
    values: list[list[float]] = []
    kept_bands = []
    at = 0
    for tier, count in bands:
        for first in range(at, at + count, size):
            names = ordered[first : min(first + size, at + count)]
            rows.append(names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more")
            columns = range(0, len(steps), width)
            values.append(
                [round(fmean(v for name in names for v in ways[name][c : c + width]), 3)
                 for c in columns]
            )  # fmt: skip
        kept_bands.append((tier, -(-count // size)))
        at += count
    ends = [steps[min(c + width, len(steps)) - 1]["step"] for c in range(0, len(steps), width)]
    return Heat(ends, rows, values, kept_bands)

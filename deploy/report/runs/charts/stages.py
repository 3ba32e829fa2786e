"""Charts of the curriculum: a heat map of problems by steps, and how much of solutions is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    """The heat maps of each group's first run, and the curves of the whole."""
    yield Chart(
        "curriculum", "Every problem's way through the curriculum",
        "One row for each problem, by tier and by when it reached the full task. The scale goes "
        "from the longest prefix, which the policy completes, to the whole program.",
        "heat", "share", _heat_panels(groups, stage_heat), wide=True,
    )  # fmt: skip
    yield Chart(
        "problem-pass-rate", "Pass rate of every problem",
        "One row for each problem, by tier and pass rate, of a run that asks every problem whole "
        "throughout (`curriculum.mode none`): the share of its samples that passed when it was "
        "last asked, blank until it is.",
        "heat", "share", _heat_panels(groups, pass_heat), wide=True,
    )  # fmt: skip
    if not any(run.asks_prefixes for group in groups for run in group.runs):
        return
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

    Rows are sorted by tier, then by when a problem reaches the full task. None of a run without
    records, or without a curriculum.
    """
    if not run.asks_prefixes:
        return None
    problems: dict[str, list] = run.curriculum[0]["problems"]
    counts = {key: count for key, (_, count, _) in problems.items()}
    ways: dict[str, list[float | None]] = {key: [] for key in problems}
    stages = {key: stage for key, (_, _, stage) in problems.items()}
    for row in run.curriculum[1:]:
        stages |= row["stages"]
        counts |= row.get("counts", {})
        for key, stage in stages.items():
            left = stage - FULL_TASK
            ways[key].append(1 - left / counts[key] if counts[key] else 1.0)
    return _heat(run, ways, ("longest prefix", "full task"), "of the way to the full task")


def pass_heat(run: RunHistory) -> Heat | None:
    """The share of each problem's samples that passed when it was last asked, after each step.

    Rows are sorted by tier, then by their mean. None of a run without records, or with a
    curriculum: there a share belongs to the stage at which a problem was asked.
    """
    if not run.curriculum or run.asks_prefixes:
        return None
    rates: dict[str, list[float | None]] = {key: [] for key in run.curriculum[0]["problems"]}
    last: dict[str, float | None] = dict.fromkeys(rates)
    for row in run.curriculum[1:]:
        last |= {key: passed / judged for key, _, passed, judged in row.get("asked", ()) if judged}
        for key, rate in last.items():
            rates[key].append(rate)
    return _heat(run, rates, ("none passed", "all passed"), "of its samples passed")


def _heat_panels(
    groups: Sequence[RunGroup], heat_of: Callable[[RunHistory], Heat | None]
) -> list[Panel]:
    """A panel for each group with such a heat map; seeds differ, so it is that of its first run."""
    panels = []
    for group in groups:
        run = group.runs[0]
        title = f"{group.label}: {run.name}" if len(group.runs) > 1 else group.label
        if (heat := heat_of(run)) is not None:
            panels.append(Panel("" if len(groups) == len(group.runs) == 1 else title, heat=heat))
    return panels


def _heat(
    run: RunHistory,
    by_problem: Mapping[str, Sequence[float | None]],
    ends: tuple[str, str],
    meaning: str,
) -> Heat | None:
    """Rows by tier, then from the highest sum to the lowest.

    Of more rows or columns than a screen shows, neighbouring ones are averaged.
    """
    problems, steps = run.curriculum[0]["problems"], run.curriculum[1:]
    if not steps:
        return None
    width = -(-len(steps) // MOST_COLUMNS)
    size = -(-len(problems) // MOST_ROWS)
    starts = range(0, len(steps), width)
    rows: list[str] = []
    values: list[list[float | None]] = []
    bands: list[tuple[str, int]] = []
    for tier in TIERS:
        names = [key for key, (its_tier, _, _) in problems.items() if its_tier == tier]
        names.sort(key=lambda key: (-sum(value or 0.0 for value in by_problem[key]), key))
        merged = [names[at : at + size] for at in range(0, len(names), size)]
        for some in merged:
            rows.append(some[0] if len(some) == 1 else f"{some[0]} and {len(some) - 1} more")
            values.append(
                [_mean(v for name in some for v in by_problem[name][c : c + width]) for c in starts]
            )
        if merged:
            bands.append((tier, len(merged)))
    columns = [steps[min(at + width, len(steps)) - 1]["step"] for at in starts]
    return Heat(columns, rows, values, bands, ends, meaning)


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are there."""
    there = [value for value in values if value is not None]
    return round(fmean(there), 3) if there else None

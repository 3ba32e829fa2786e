"""The page of a grid: its tables, and curves of every arm, in one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from actors.rollout.samples import OUTCOMES
from curriculum.files import write_atomic
from deploy.ablation.estimates import mean_over_seeds
from deploy.ablation.grid import Grid
from deploy.ablation.stored import StoredRun
from deploy.report.ablation.markdown import how_made
from deploy.report.ablation.paper import paper_table
from deploy.report.ablation.tables import grid_tables
from deploy.report.runs.charts.chart import Chart, Line, Panel, Section, Unit
from deploy.report.runs.charts.palette import HEAT, PALETTE, run_colour
from deploy.report.runs.content import Content, section_record
from deploy.report.runs.groups import Curve
from deploy.report.runs.page import page_text

SERIES: tuple[tuple[str, str, Unit, str], ...] = (
    ("pass_rate", "Pass rate in training", "share",
     "Share of each step's programs that passed, with the prefix that the arm gives."),
    ("pass_rate/full_task", "Pass rate on full tasks", "share",
     "The same for the subtasks of training that give no prefix."),
    ("curriculum/revealed", "Revealed share", "share",
     "Mean part of the canonical solution that the prompts gave."),
    ("learner/masked_share", "Masked share", "share",
     "Generated tokens that are not in the policy loss."),
    ("learner/entropy", "Entropy", "nats", "Of the policy, mean over tokens."),
    ("learner/kl", "KL to the warm start", "nats", "Mean over tokens."),
    ("learner/policy_grad_norm", "Gradient norm of the policy", "number", "Before clipping."),
    ("length/completion/mean", "Completion length", "tokens", "Mean of a step's samples."),
)  # fmt: skip
"""Figure of a step, title, unit and caption of the charts of training."""


def write_grid_page(grid: Grid, path: Path) -> None:
    """Write the page; the same results make the same bytes."""
    write_atomic(path, page_text(grid_content(grid)))


def grid_content(grid: Grid) -> Content:
    """What the page of a grid shows."""
    sections = [
        Section("heldout", "Held-out problems", [_heldout(grid)]),
        Section("outcomes", "Outcomes", [_outcomes(grid)]),
        Section("training", "Training", [*_training(grid)]),
    ]
    sections = [
        Section(s.id, s.title, [chart for chart in s.charts if not chart.empty]) for s in sections
    ]
    sections = [section for section in sections if section.charts]
    title = f"Ablation: {grid.name}"
    data: dict[str, Any] = {
        "title": title,
        "live": False,
        "written": f"from the results of {max(run.date for run in grid.runs)}",
        "written_at": 0,
        "facts": [how_made(grid), *grid.notes()],
        "tables": [table.as_record() for table in (*grid_tables(grid), paper_table())],
        "versions": grid.runs[-1].versions,
        "sections": [section_record(section) for section in sections],
        "palette": PALETTE,
        "heat": HEAT,
    }
    return Content(title, data, sections)


def _heldout(grid: Grid) -> Chart:
    panels = [
        Panel(tier, [*_lines(grid, lambda run, of=tier: _evaluated(run, of), True)])
        for tier in grid.tiers
    ]
    return Chart(
        "heldout-by-arm", "pass@1 on held-out problems",
        "Sampled from the empty prefix; mean over seeds, with its 95 % t-interval where there are "
        "three or more.",
        "lines", "share", panels, wide=True,
    )  # fmt: skip


def _outcomes(grid: Grid) -> Chart:
    panels: list[Panel] = []
    for arm in grid.arms:
        lines = [
            Line(outcome.replace("_", " "), outcome, curve.steps, curve.mean)
            for outcome in OUTCOMES
            if (curve := _curve(grid, arm, lambda run, of=outcome: _steps(run, f"outcome/{of}")))
        ]
        panels.append(Panel(arm, lines))
    return Chart(
        "outcomes-by-arm", "Outcomes by step",
        "What became of a step's programs, as shares of those judged; mean over seeds.",
        "area", "share", [panel for panel in panels if panel.lines], wide=True, whole=True,
    )  # fmt: skip


def _training(grid: Grid) -> Iterator[Chart]:
    for name, title, unit, caption in SERIES:
        lines = [*_lines(grid, lambda run, of=name: _steps(run, of), False)]
        id = "by-arm-" + name.replace("/", "-").replace("_", "-")
        yield Chart(id, title, f"{caption} Mean over seeds.", "lines", unit,
                    [Panel("", lines)] if lines else [])  # fmt: skip


Points = Sequence[tuple[int, float]]


def _lines(grid: Grid, points: Callable[[StoredRun], Points], evaluated: bool) -> Iterator[Line]:
    for number, arm in enumerate(grid.arms):
        if curve := _curve(grid, arm, points, evaluated):
            yield Line(arm, run_colour(number), curve.steps, curve.mean, curve.low, curve.high,
                       markers=evaluated)  # fmt: skip


def _curve(
    grid: Grid, arm: str, points: Callable[[StoredRun], Points], band: bool = False
) -> Curve | None:
    """A figure by step: the mean over the seeds of an arm, with its interval on request."""
    by_step: dict[int, dict[int, list[float]]] = {}
    for run in grid.of_arm(arm):
        for step, value in points(run):
            by_step.setdefault(step, {}).setdefault(run.seed, []).append(value)
    if not by_step:
        return None
    steps = sorted(by_step)
    seeds = [[sum(of) / len(of) for of in by_step[step].values()] for step in steps]
    estimates = [mean_over_seeds(values) for values in seeds]
    means = [estimate.mean for estimate in estimates]
    low = [max(0.0, e.low) for e in estimates if e.low is not None]
    high = [min(1.0, e.high) for e in estimates if e.high is not None]
    whole = band and len(low) == len(high) == len(steps)
    return Curve(steps, means, low, high) if whole else Curve(steps, means)


def _evaluated(run: StoredRun, tier: str) -> Points:
    return [(e.step, run.rate(e, tier)) for e in run.evaluations]


def _steps(run: StoredRun, name: str) -> Points:
    values = run.series.get(name, [])
    return [(step, value) for step, value in enumerate(values, 1) if value is not None]

"""The content of a report as plain data: what its page and its pictures show."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from actors.training.evaluate import HELDOUT
from curriculum.problem import TIERS
from deploy.config import RunConfig
from deploy.report.runs.charts.chart import Chart, Section, segments, thinned
from deploy.report.runs.charts.costs import length_charts, time_charts, update_charts
from deploy.report.runs.charts.events import marks
from deploy.report.runs.charts.learning import learning_charts, outcome_charts
from deploy.report.runs.charts.palette import HEAT, PALETTE, run_colour
from deploy.report.runs.charts.stages import curriculum_charts
from deploy.report.runs.groups import RunGroup, group_differences, group_runs
from deploy.report.runs.history import NAMES, RunHistory
from learner.config import flat_settings

QUIET_S = 30 * 60
"""Seconds without a new row after which a run is not called running (as `StepCoderNoProgress`)."""


@dataclass(frozen=True)
class Content:
    """Everything that a report shows."""

    title: str
    data: dict[str, Any]
    """What the page's script reads."""
    sections: Sequence[Section]

    @property
    def live(self) -> bool:
        """Whether a run has not finished."""
        return bool(self.data["live"])

    @property
    def charts(self) -> list[Chart]:
        """All charts, in order."""
        return [chart for section in self.sections for chart in section.charts]


def report_content(runs: Sequence[RunHistory]) -> Content:
    """The report on some runs; charts without data are left out."""
    groups = group_runs(runs)
    sections = [
        Section("learning", "Learning", list(learning_charts(groups))),
        Section("curriculum", "Curriculum", list(curriculum_charts(groups))),
        Section("outcomes", "Outcomes and masks", list(outcome_charts(groups))),
        Section("update", "Update", list(update_charts(groups))),
        Section("lengths", "Lengths", list(length_charts(groups))),
        Section("time", "Time", list(time_charts(groups))),
    ]
    sections = [
        Section(section.id, section.title, [c for c in section.charts if not c.empty])
        for section in sections
    ]
    sections = [section for section in sections if section.charts]
    title = ", ".join(group.label for group in groups)
    unfinished = [run for run in runs if run.result is None and run.step < run.planned_steps]
    live = bool(unfinished)
    data = {
        "title": title,
        "live": live,
        "stalled": _stalled(unfinished),
        "written": time.strftime("%d %B %Y, %H:%M"),
        "written_at": time.time(),
        "groups": [_group(group, number) for number, group in enumerate(groups)],
        "configuration": _configuration(groups),
        "sections": [section_record(section) for section in sections],
        "palette": PALETTE,
        "heat": HEAT,
    }
    return Content(title, data, sections)


def section_record(section: Section) -> dict[str, Any]:
    """A section as the page's script reads it."""
    return {"id": section.id, "title": section.title, "charts": [_chart(c) for c in section.charts]}


def _chart(chart: Chart) -> dict[str, Any]:
    plain = asdict(chart)
    for panel, drawn in zip(plain["panels"], chart.panels, strict=True):
        panel["lines"] = [
            _rounded(asdict(thinned(line))) | {"segments": segments(line, drawn)}
            for line in drawn.lines
        ]
    return plain


def _rounded(line: dict[str, Any]) -> dict[str, Any]:
    for name in ("values", "low", "high"):
        if line[name] is not None:
            line[name] = [float(f"{value:.5g}") for value in line[name]]
    return line


def _stalled(unfinished: Sequence[RunHistory]) -> str:
    """When the last row was written, where that is so long ago that the runs were stopped."""
    times = [row["time"] for run in unfinished for row in run.steps + run.evaluations
             if "time" in row]  # fmt: skip
    if not times or time.time() - max(times) < QUIET_S:
        return ""
    return time.strftime("%d %B %Y, %H:%M", time.localtime(max(times)))


def _group(group: RunGroup, number: int) -> dict[str, Any]:
    """The row of a group in the table at the top."""
    first = group.runs[0]
    suite = next((s for s in first.suites if s == HELDOUT), None)
    tiers = {}
    for tier in ("overall", *TIERS) if suite else ():
        curve = group.curve(lambda run, tier=tier: run.evaluated(HELDOUT, f"pass_at_1/{tier}"))
        if curve is not None:
            tiers[tier] = [curve.mean[0], curve.mean[-1], curve.steps[0], curve.steps[-1]]
    happened = marks(group)
    result = first.result or {}
    return {
        "label": group.label,
        "colour": run_colour(number) if number else "run-0",
        "runs": [
            {
                "name": run.name,
                "folder": str(run.folder),
                "seed": run.config.get("seed"),
                "step": run.step,
                "steps": run.planned_steps,
                "finished": run.result is not None,
                "seconds": run.seconds,
            }
            for run in group.runs
        ],
        "pass_at_1": tiers,
        "restarts": sum(mark.kind == "restart" for mark in happened),
        "dropped": sum(int(row.get("ledger/dropped", 0)) for r in group.runs for row in r.steps),
        "samples": sum(int(row.get("ledger/asked", 0)) for r in group.runs for row in r.steps),
        "facts": {
            "commit": (result.get("git_commit") or "")[:12],
            "isolation": result.get("isolation", ""),
            "versions": result.get("versions", {}),
        },
    }


def _configuration(groups: Sequence[RunGroup]) -> dict[str, Any]:
    """What differs between groups; of one group, what differs from the defaults."""
    if len(groups) > 1:
        rows = group_differences(groups)
        labels = [group.label for group in groups]
        return {
            "against": "runs",
            "columns": labels,
            "rows": [[k, *map(_text, v)] for k, v in rows],
        }
    defaults = flat_settings(RunConfig().model_dump(mode="json"))
    config = groups[0].runs[0].config
    rows = [
        [key, _text(defaults.get(key)), _text(value)]
        for key, value in config.items()
        if key not in NAMES and defaults.get(key) != value
    ]
    return {"against": "defaults", "columns": ["default", groups[0].label], "rows": rows}


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) or "[]" if isinstance(value, list) else str(value)

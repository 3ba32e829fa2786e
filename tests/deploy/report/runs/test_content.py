"""The charts of a report hold what the runs recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.runs.folder import append_jsonl
from deploy.report.runs import content
from deploy.report.runs.charts.chart import MOST_POINTS, Line, Panel, segments, thinned
from deploy.report.runs.charts.events import marks
from deploy.report.runs.charts.palette import PALETTE
from deploy.report.runs.charts.stages import MOST_COLUMNS, MOST_ROWS, pass_heat, stage_heat
from deploy.report.runs.content import QUIET_S, report_content
from deploy.report.runs.groups import group_runs
from deploy.report.runs.history import RunHistory
from deploy.report.runs.pictures import write_pictures
from tests.deploy.report.runs.made_runs import write_run

ONE = {
    "heldout", "training-pass-rate", "full-task-pass-rate", "pass-rate-by-stage", "reward",
    "curriculum", "revealed", "full-task-share", "outcomes", "masked", "kl", "entropy", "clip",
    "logprob-difference", "gradient", "explained-variance", "lengths", "truncated", "seconds",
    "overlap", "throughput",
}  # fmt: skip


def test_one_run_has_every_chart_and_several_are_overlaid(tmp_path: Path) -> None:
    runs = [
        RunHistory.read(write_run(tmp_path / name, seed=seed, learner={"mask": mask}))
        for name, seed, mask in (("a1", 1, "fgo"), ("a2", 2, "fgo"), ("b", 1, "none"))
    ]
    single = report_content(runs[:1])
    assert {chart.id for chart in single.charts} == ONE
    heldout = single.charts[0]
    [panel] = heldout.panels
    assert [line.name for line in panel.lines] == [
        "overall", "introductory", "interview", "competition",
    ]  # fmt: skip
    overall = panel.lines[0]
    assert list(overall.steps) == [0, 10, 20, 30, 40]
    assert overall.low is not None, "a single run's band is the interval over problems"
    several = report_content(runs)
    assert {chart.id for chart in several.charts} == ONE
    titles = [{c.id: c.title for c in report_content(some).charts}["masked"] for some in
              (runs[:2], runs, runs[2:])]  # fmt: skip
    assert titles == ["Masked by FGO, by outcome", "Masked, by outcome", "Masked, by outcome"]
    by_tier = several.charts[0]
    assert [panel.title for panel in by_tier.panels] == [line.name for line in panel.lines]
    assert [line.name for line in by_tier.panels[0].lines] == ["a, 2 seeds", "b"]
    bands = [line.low is not None for line in by_tier.panels[0].lines]
    assert bands == [True, False], "of seeds alone: one chart has bands of one kind"
    assert several.data["configuration"]["rows"] == [["learner.mask", "fgo", "none"]]
    assert not several.live
    for made in (single, several):
        used = {line.colour for c in made.charts for p in c.panels for line in p.lines}
        assert used <= PALETTE.keys()
        assert json.dumps(made.data)


def test_restarts_and_drops_are_marks_at_their_steps(tmp_path: Path) -> None:
    [group] = group_runs([RunHistory.read(write_run(tmp_path / "run", steps=30))])
    assert [(mark.step, mark.kind, mark.text) for mark in marks(group)] == [
        (10, "restart", "rollout started again"),
        (20, "drop", "3 samples dropped"),
    ]


def test_a_run_that_was_stopped_is_not_called_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunHistory.read(write_run(tmp_path / "run", steps=6, finished=False))
    for ago, stalled in ((60, False), (QUIET_S + 60, True)):
        monkeypatch.setattr(content.time, "time", lambda ago=ago: run.steps[-1]["time"] + ago)
        data = report_content([run]).data
        assert (data["live"], bool(data["stalled"])) == (True, stalled)


def test_the_heat_map_follows_each_problem_to_the_full_task(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", steps=0)
    problems = {
        "i/0": ["introductory", 2, 1],
        "i/1": ["introductory", 1, 0],
        "c": ["competition", 0, -1],
    }
    (root / "curriculum.jsonl").unlink()
    rows = [
        {"step": 0, "problems": problems},
        {"step": 1, "asked": [], "stages": {"i/0": 0}},
        {"step": 2, "asked": [], "stages": {"i/1": -1}},
        {"step": 3, "asked": [], "stages": {"i/0": -1}},
        {"step": 4, "asked": [], "stages": {"c": 1}, "counts": {"c": 4}},
    ]
    append_jsonl(root / "curriculum.jsonl", rows)
    heat = stage_heat(RunHistory.read(root))
    assert heat is not None
    assert list(heat.columns) == [1, 2, 3, 4]
    assert dict(zip(heat.rows, heat.values, strict=True)) == {
        "i/0": [0.5, 0.5, 1.0, 1.0], "i/1": [0.0, 1.0, 1.0, 1.0], "c": [1.0, 1.0, 1.0, 0.5],
    }  # fmt: skip
    assert list(heat.bands) == [("introductory", 2), ("competition", 1)]


def test_a_run_without_a_curriculum_shows_the_pass_rate_of_every_problem(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", steps=12)
    (root / "curriculum.jsonl").unlink()
    problems = {"i/0": ["introductory", 0, -1], "i/1": ["introductory", 0, -1]}
    rows = [
        {"step": 0, "problems": problems},
        {"step": 1, "asked": [["i/1", -1, 2, 8], ["i/0", -1, 0, 0]], "stages": {}},
        {"step": 2, "asked": [["i/0", -1, 8, 8]], "stages": {}},
    ]
    append_jsonl(root / "curriculum.jsonl", rows)
    run = RunHistory.read(root)
    assert stage_heat(run) is None
    heat = pass_heat(run)
    assert heat is not None
    rates = dict(zip(heat.rows, heat.values, strict=True))
    assert rates == {"i/0": [None, 1.0], "i/1": [0.25, 0.25]}
    assert list(rates) == ["i/0", "i/1"]
    content = report_content([run])
    curriculum = next(section for section in content.sections if section.id == "curriculum")
    assert [chart.id for chart in curriculum.charts] == ["problem-pass-rate"]
    assert "pass-rate-by-stage" not in {chart.id for chart in content.charts}
    assert write_pictures(curriculum.charts, tmp_path)[0].is_file()


def test_a_large_run_is_averaged_to_what_a_screen_shows(tmp_path: Path) -> None:
    run = RunHistory.read(write_run(tmp_path / "run", steps=2 * MOST_COLUMNS + 1, per_tier=90))
    heat = stage_heat(run)
    assert heat is not None
    assert len(heat.rows) == sum(count for _, count in heat.bands) <= MOST_ROWS + 3
    assert len(heat.columns) == len(heat.values[0]) <= MOST_COLUMNS
    assert heat.columns[-1] == 2 * MOST_COLUMNS + 1
    line = thinned(Line("l", "first", range(1, 1503), [1.0] * 1501 + [4.0]))
    assert len(line.steps) <= MOST_POINTS
    assert (line.steps[-1], line.values[-1]) == (1502, 2.5)


def test_a_run_before_its_first_step_has_a_page(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", steps=0, finished=False)
    for name in ("metrics.jsonl", "curriculum.jsonl"):
        (root / name).unlink()
    content = report_content([RunHistory.read(root)])
    assert content.sections == []


def test_a_run_before_its_first_step_has_no_panels_beside_one_with_steps(tmp_path: Path) -> None:
    begun = write_run(tmp_path / "begun", steps=0, finished=False, learner={"mask": "none"})
    runs = [RunHistory.read(root) for root in (write_run(tmp_path / "run", steps=12), begun)]
    content = report_content(runs)
    assert {chart.id for chart in content.charts} == ONE
    panels = [panel for chart in content.charts for panel in chart.panels]
    assert all(panel.lines or panel.heat for panel in panels)
    outcomes = next(chart for chart in content.charts if chart.id == "outcomes")
    assert [panel.title for panel in outcomes.panels] == ["run"]


def test_a_line_has_gaps_where_steps_lack_its_figure(tmp_path: Path) -> None:
    whole = Line("all", "overall", range(1, 10), [0.5] * 9)
    rare = Line("timeout", "timeout", [2, 3, 7], [0.1, 0.2, 0.3])
    panel = Panel("", [whole, rare])
    assert segments(whole, panel) == [(0, 9)]
    assert segments(rare, panel) == [(0, 2), (2, 3)]
    evaluated = Line("overall", "overall", [0, 10, 15], [0.1, 0.2, 0.3], markers=True)
    assert segments(evaluated, Panel("", [evaluated])) == [(0, 3)]
    run = RunHistory.read(write_run(tmp_path / "run", steps=12))
    for row in run.steps[4:9]:
        del row["learner/masked_share/timeout"]
    [masked] = [chart for chart in report_content([run]).charts if chart.id == "masked"]
    [section] = [s for s in report_content([run]).data["sections"] if s["id"] == "outcomes"]
    [drawn] = next(chart for chart in section["charts"] if chart["id"] == masked.id)["panels"]
    found = {line["name"]: line["segments"] for line in drawn["lines"]}
    assert found["timeout"] == [(0, 4), (4, 7)]
    assert found["failed"] == [(0, 12)]

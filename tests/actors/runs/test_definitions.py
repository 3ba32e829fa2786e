"""The definitions of the figures: one name each, and none missing."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from actors.runs import gauges as gauges_module
from actors.runs.definitions.registry import BY_NAME, METRICS, find_metric
from actors.runs.folder import RunFolder
from actors.runs.metrics import MetricsLog
from tests.deploy.report.runs.made_runs import write_run


class RecordedGauge:
    """Stands for Ray's gauge, which needs a cluster to be read back."""

    made: dict[str, RecordedGauge]

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.keys, self.description = tag_keys, description
        self.values: dict[tuple[str, ...], float] = {}
        assert name not in self.made, "one gauge for a name"
        self.made[name] = self

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert set(tags) == set(self.keys)
        self.values[tuple(tags[key] for key in self.keys)] = value


@pytest.fixture
def gauges(monkeypatch: pytest.MonkeyPatch) -> dict[str, RecordedGauge]:
    made: dict[str, RecordedGauge] = {}
    monkeypatch.setattr(RecordedGauge, "made", made, raising=False)
    monkeypatch.setattr(gauges_module, "Gauge", RecordedGauge)
    return made


def log(root: Path) -> MetricsLog:
    root.mkdir()
    return MetricsLog(RunFolder(root), "tiny", [])


def test_names_are_unique_and_meanings_are_sentences() -> None:
    exported = [metric.ray_name for metric in METRICS if metric.in_prometheus]
    assert len(set(exported)) == len(exported)
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert metric.help.endswith("."), metric.name
        assert not metric.help[0].islower() or metric.help.startswith("pass@"), metric.name


@pytest.mark.parametrize(
    ("figure", "name", "labels"),
    [
        ("outcome/passed", "ray_stepcoder_outcome", {"outcome": "passed"}),
        ("reward", "ray_stepcoder_reward", {}),
        ("reward/outcome", "ray_stepcoder_reward_part", {"part": "outcome"}),
        ("reward/function/a/b", "ray_stepcoder_reward_function_part", {"part": "a/b"}),
        ("pass_rate/full_task", "ray_stepcoder_pass_rate_full_task", {}),
        ("seconds/step", "ray_stepcoder_step_seconds", {}),
        ("seconds/learn", "ray_stepcoder_seconds", {"stage": "learn"}),
        ("processor/driver", "ray_stepcoder_processor", {"role": "driver"}),
        ("eval/humaneval+/low/overall", "ray_stepcoder_eval_low",
         {"suite": "humaneval+", "tier": "overall"}),
        ("length/completion/mean/interview", "ray_stepcoder_length_completion_mean_tier",
         {"tier": "interview"}),
    ],
)  # fmt: skip
def test_a_figure_is_of_one_definition(figure: str, name: str, labels: dict[str, str]) -> None:
    found = find_metric(figure)
    assert found is not None
    assert (found[0].prometheus_name, found[1]) == (name, labels)


def test_figures_of_prometheus_alone_are_in_no_row() -> None:
    for name in ("step", "disk_free", "samples"):
        assert find_metric(name) is None


def test_families_are_exported_with_labels(tmp_path: Path, gauges: Any) -> None:
    writer = log(tmp_path / "run")
    row = {"reward": 0.5, "outcome/passed": 0.75, "outcome/failed": 0.25, "ledger/asked": 8.0}
    writer.write(3, row, {"asked": 8})
    assert gauges["stepcoder_outcome"].values == {
        ("tiny", "passed"): 0.75,
        ("tiny", "failed"): 0.25,
    }
    assert gauges["stepcoder_reward"].values == {("tiny",): 0.5}
    assert gauges["stepcoder_step"].values == {("tiny",): 3}
    assert gauges["stepcoder_disk_free"].values[("tiny",)] > 0
    assert "[share]" in gauges["stepcoder_outcome"].description
    assert not any("ledger" in name for name in gauges), "the counter has them"


def test_a_figure_that_nothing_defines_is_told_once(
    tmp_path: Path, gauges: Any, caplog: pytest.LogCaptureFixture
) -> None:
    writer = log(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        writer.write(1, {"novel": 1.0}, {})
        writer.write(2, {"novel": 2.0}, {})
    assert caplog.text.count("Prometheus lacks novel: it is not in actors/runs/definitions") == 1
    rows = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [row["novel"] for row in rows] == [1.0, 2.0]


def test_the_figures_of_the_pages_are_defined(tmp_path: Path) -> None:
    """Charts read them by name; `write_run` makes rows as a run does."""
    write_run(tmp_path / "run", steps=2)
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    names = {name for row in rows for name in json.loads(row)} - {"step", "time", "suite"}
    assert [name for name in sorted(names) if find_metric(name) is None] == []

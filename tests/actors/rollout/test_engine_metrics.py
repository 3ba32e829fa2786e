"""vLLM's figures of an engine, read from its process's registry and given to Ray."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from actors.rollout import engine_metrics
from actors.rollout.engine_metrics import FIGURES, EngineMetrics
from actors.runs.definitions.metric import Metric
from actors.runs.definitions.registry import BY_NAME


class RecordedGauge:
    """Stands for Ray's gauge, which needs a cluster to be read back."""

    def __init__(self, metric: Metric) -> None:
        self.name = metric.prometheus_name
        self.values: dict[tuple[tuple[str, str], ...], float] = {}

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.values[tuple(tags.items())] = value


def test_an_engines_figures_have_the_run_and_the_engine_as_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry, made = CollectorRegistry(), list[Any]()
    monkeypatch.setattr(engine_metrics, "REGISTRY", registry)
    monkeypatch.setattr(
        engine_metrics, "ray_gauge", lambda metric: made.append(RecordedGauge(metric)) or made[-1]
    )
    labels = {"labelnames": ("engine",), "registry": registry}
    running = Gauge("vllm:num_requests_running", "as vLLM makes it", **labels)
    hits = Counter("vllm:prefix_cache_hits", "as vLLM makes it", **labels)
    Histogram("vllm:e2e_request_latency_seconds", "of no interest", registry=registry)
    exported = EngineMetrics("first", "rollout-0")
    running.labels("0").set(3)
    hits.labels("0").inc(64)
    hits.labels("1").inc(32)
    exported.export()
    tags = (("run", "first"), ("engine", "rollout-0"))
    assert {gauge.name: gauge.values for gauge in made if gauge.values} == {
        "ray_stepcoder_engine_running": {tags: 3},
        "ray_stepcoder_engine_cache_hits": {tags: 96},
    }


def test_every_exported_figure_is_defined_with_its_engine() -> None:
    for figure in FIGURES.values():
        assert BY_NAME[figure].labels == ("engine",)

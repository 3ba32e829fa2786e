"""EngineMetrics: vLLM's own figures of an engine as Ray's metrics, beside those of the run.

vLLM keeps its metrics in the process of its actor, where no Prometheus looks. Its own logger for
Ray imports Ray Serve, which is not installed, and records some forty metrics through Ray in each
step of the engine. Here a few are read once in a while, by the names of its documentation.
"""

from __future__ import annotations

import asyncio

from prometheus_client import REGISTRY

from actors.runs.definitions.registry import BY_NAME
from actors.runs.gauges import ray_gauge

FIGURES = {
    "vllm:kv_cache_usage_perc": "engine/kv_cache/{engine}",
    "vllm:num_requests_running": "engine/running/{engine}",
    "vllm:num_requests_waiting": "engine/waiting/{engine}",
    "vllm:prefix_cache_queries_total": "engine/cache_queries/{engine}",
    "vllm:prefix_cache_hits_total": "engine/cache_hits/{engine}",
    "vllm:num_preemptions_total": "engine/preemptions/{engine}",
}
"""vLLM's name to ours."""
_EVERY_S = 2.0
"""Time between two readings [seconds]; Ray sends its metrics on less often than that."""


class EngineMetrics:
    """Reads the figures of this process's engine and sets Ray's gauges."""

    def __init__(self, run: str, engine: str) -> None:
        """Make the gauges.

        Args:
            run: the run's name.
            engine: the engine's, such as `rollout-0`.
        """
        self._tags = {"run": run, "engine": engine}
        self._gauges = {name: ray_gauge(BY_NAME[figure]) for name, figure in FIGURES.items()}

    def export(self) -> None:
        """Set every gauge to its figure's value now; one that vLLM does not have is left out."""
        for name, value in engine_figures().items():
            self._gauges[name].set(value, self._tags)

    async def export_forever(self) -> None:
        """Export every two seconds until cancelled."""
        while True:
            self.export()
            await asyncio.sleep(_EVERY_S)


def engine_figures() -> dict[str, float]:
    """The figures of this process's engine by vLLM's names, over all its labels."""
    values: dict[str, float] = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name in FIGURES:
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
    return values

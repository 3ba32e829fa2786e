"""Ray's gauges of defined metrics."""

from __future__ import annotations

from ray.util.metrics import Gauge

from actors.runs.definitions.metric import Metric


def ray_gauge(metric: Metric) -> Gauge:
    """Ray's gauge of a metric, with the labels `run` and its own; one for a metric and process."""
    about = f"{metric.help} [{metric.unit}]" if metric.unit else metric.help
    return Gauge(metric.ray_name, about, tag_keys=("run", *metric.labels))

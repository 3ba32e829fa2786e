"""All definitions, and which of them a figure is of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from actors.runs.definitions import learning, running
from actors.runs.definitions.metric import Metric

SECTIONS: dict[str, tuple[Metric, ...]] = {
    "Progress": running.PROGRESS,
    "Samples": running.SAMPLES,
    "Rewards and pass rates": learning.REWARDS,
    "Curriculum": learning.CURRICULUM,
    "Rollout": running.ROLLOUT,
    "Engines": running.ENGINE,
    "Sandbox": running.SANDBOX,
    "Learner": learning.LEARNER,
    "Weights, restarts, disk": running.CLUSTER,
    "Evaluation": learning.EVALUATION,
}
"""Definitions by section. In a section, a single figure stands before the family that its name
would match, and so does a narrower family before a wider one."""

METRICS = tuple(metric for metrics in SECTIONS.values() for metric in metrics)

BY_NAME = {metric.name: metric for metric in METRICS}


@cache
def find_metric(name: str) -> tuple[Metric, Mapping[str, str]] | None:
    """The definition and labels of a figure of a row; None where nothing defines it."""
    for metric in METRICS:
        if metric.in_rows and (labels := metric.match(name)) is not None:
            return metric, labels
    return None

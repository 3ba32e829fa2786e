"""MetricsLog: writes the figures of a run to metrics.jsonl, Ray's metrics and its sinks."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ray.util.metrics import Counter

from actors.runs.definitions.metric import Metric
from actors.runs.definitions.registry import BY_NAME, find_metric
from actors.runs.folder import RunFolder, append_jsonl
from actors.runs.gauges import ray_gauge
from actors.runs.sinks.base import SinkRun
from actors.runs.sinks.registry import open_sinks

logger = logging.getLogger(__name__)


class MetricsLog:
    """Writes each row of figures to all places; in `metrics.jsonl` with the time [seconds since
    1970].

    Ray exports the figures to Prometheus under the names of their definitions
    (`actors.runs.definitions`), with a tag `run`. A gauge keeps its value until a row has the
    figure again. A figure that nothing defines is told once, and is in the rows only.
    """

    def __init__(
        self,
        folder: RunFolder,
        run: str,
        sinks: Sequence[str] = ("tensorboard",),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the sinks.

        Args:
            folder: of the run.
            run: its name.
            sinks: where figures go beside `metrics.jsonl` and Ray, by name.
            config: the resolved configuration by dotted key, for the sinks.
        """
        self._folder = folder
        self._tags = {"run": run}
        self._sinks = open_sinks(sinks, SinkRun(run, folder.root, config or {}))
        self._gauges: dict[str, Any] = {}
        self._undefined: set[str] = set()
        samples = BY_NAME["samples"]
        self._samples = Counter(samples.ray_name, samples.help, tag_keys=("run", "fate"))

    def write(self, step: int, row: Mapping[str, float], samples: Mapping[str, int]) -> None:
        """Record one step.

        Args:
            step: its number.
            row: its figures by name.
            samples: its number of samples by fate: `asked`, `trained`, `dropped`, ...

        Raises:
            ValueError: a figure is not finite; nothing of the row is written.
        """
        self._write(step, row, {})
        disk = shutil.disk_usage(self._folder.root)
        own = {"step": step, "step_time": _now(), "disk_free": disk.free, "disk_total": disk.total}
        for name, value in own.items():
            self._gauge(BY_NAME[name]).set(value, self._tags)
        for fate, count in samples.items():
            if count:
                self._samples.inc(count, {**self._tags, "fate": fate})

    def write_evaluation(
        self, step: int, suite: str, row: Mapping[str, float], problems: Mapping[str, Any]
    ) -> None:
        """Record one evaluation.

        Args:
            step: after which it was made; 0 before the first.
            suite: what was asked; names the evaluation's line.
            row: its figures by name.
            problems: how the samples of each problem came out, by id.

        Raises:
            ValueError: a figure is not finite; nothing is written.
        """
        self._write(step, row, {"suite": suite})
        line = {"step": step, "time": _now(), "suite": suite, "problems": problems}
        append_jsonl(self._folder.evaluations, [line])

    def _write(self, step: int, row: Mapping[str, float], labels: Mapping[str, str]) -> None:
        broken = [name for name, value in row.items() if not math.isfinite(value)]
        if broken:
            raise ValueError(f"step {step}: not a finite number: {', '.join(broken)}")
        append_jsonl(self._folder.metrics, [{"step": step, "time": _now(), **labels, **row}])
        self._send("write", step, dict(row))
        for name, value in row.items():
            self._export(name, value)

    def _export(self, name: str, value: float) -> None:
        found = find_metric(name)
        if found is None:
            if name not in self._undefined:
                self._undefined.add(name)
                logger.warning("Prometheus lacks %s: it is not in actors/runs/definitions", name)
            return
        metric, labels = found
        if metric.in_prometheus:
            self._gauge(metric).set(value, {**self._tags, **labels})

    def write_samples(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Give the sinks a table of samples of a step."""
        if rows:
            self._send("write_table", step, "samples", rows)

    def add_policy(self) -> None:
        """Give the sinks the trained policy, which is in the run's folder."""
        self._send("add_folder", "policy", self._folder.policy)

    def _send(self, method: str, *arguments: Any) -> None:
        for sink in self._sinks:
            sink.send(method, *arguments)

    def _gauge(self, metric: Metric) -> Any:
        if metric.ray_name not in self._gauges:
            self._gauges[metric.ray_name] = ray_gauge(metric)
        return self._gauges[metric.ray_name]

    def close(self) -> None:
        """Wait until the sinks have everything."""
        for sink in self._sinks:
            sink.close()


def _now() -> float:
    """Seconds since 1970, to the millisecond."""
    return round(time.time(), 3)

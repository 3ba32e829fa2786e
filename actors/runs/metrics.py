"""MetricsLog: each step's figures to metrics.jsonl, TensorBoard and Ray's Prometheus endpoint."""

from __future__ import annotations

import math
from typing import Any

from ray.util.metrics import Counter, Gauge
from torch.utils.tensorboard import SummaryWriter

from actors.runs.folder import RunFolder, append_jsonl

PREFIX = "stepcoder_"


class MetricsLog:
    """Writes each step's row to all three places.

    Ray exports gauges as `ray_stepcoder_<name>` with a tag `run`; `/` in a name becomes `_`.
    """

    def __init__(self, folder: RunFolder, run: str) -> None:
        self._folder = folder
        self._tags = {"run": run}
        self._board = SummaryWriter(str(folder.tensorboard))
        self._gauges: dict[str, Gauge] = {}
        self._samples = Counter(
            PREFIX + "samples", "Samples by what became of them.", tag_keys=("run", "fate")
        )

    def write(self, step: int, row: dict[str, float]) -> None:
        """Record one step.

        Raises:
            ValueError: a figure is not finite; nothing of the row is written.
        """
        broken = [name for name, value in row.items() if not math.isfinite(value)]
        if broken:
            raise ValueError(f"step {step}: not a finite number: {', '.join(broken)}")
        append_jsonl(self._folder.metrics, [{"step": step, **row}])
        for name, value in row.items():
            self._board.add_scalar(name, value, step)
            self._gauge(name).set(value, self._tags)
        self._gauge("step").set(step, self._tags)

    def count(self, fate: str, samples: int) -> None:
        """Add to the counter of samples `asked`, `trained` or `dropped`."""
        if samples:
            self._samples.inc(samples, {**self._tags, "fate": fate})

    def _gauge(self, name: str) -> Any:
        if name not in self._gauges:
            metric = PREFIX + name.replace("/", "_")
            self._gauges[name] = Gauge(metric, f"StepCoder: {name}", tag_keys=("run",))
        return self._gauges[name]

    def close(self) -> None:
        """Flush the event file."""
        self._board.close()

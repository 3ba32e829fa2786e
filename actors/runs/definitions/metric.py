"""Metric: the definition of one figure, or of a family of figures that differ by labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

PREFIX = "stepcoder_"
"""Of every metric that Ray has from us; Ray puts `ray_` before it."""

_LABEL = re.compile(r"\{(\w+)\}")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]+")

Unit = Literal[
    "", "seconds", "milliseconds", "tokens", "tokens/s", "bytes", "share", "nats", "updates",
    "samples", "stages", "per update", "seconds since 1970",
]  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """One figure of `metrics.jsonl` and of Prometheus.

    Example:
        Metric("outcome/{outcome}", "share", "Judged samples with this outcome.") is the figure
        `outcome/passed` in a row, and `ray_stepcoder_outcome{outcome="passed"}` in Prometheus.
    """

    name: str
    """In a row of `metrics.jsonl`; `{label}` stands for a part that varies."""
    unit: Unit
    help: str
    """What it says, in one sentence."""
    kind: Literal["gauge", "counter"] = "gauge"
    """Its type in Prometheus."""
    exported_as: str = ""
    """Its name in Prometheus without prefixes, where the parts of `name` without labels, joined by
    `_`, are those of another metric."""
    in_rows: bool = True
    """Whether rows have it; else it is in Prometheus only."""
    in_prometheus: bool = True
    """Whether Prometheus has it; else it is in rows only."""

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels of a family, beside `run`."""
        return tuple(_LABEL.findall(self.name))

    @cached_property
    def ray_name(self) -> str:
        """What Ray's metric is created with."""
        parts = [part for part in self.name.split("/") if not _LABEL.fullmatch(part)]
        return PREFIX + (self.exported_as or _NOT_IN_A_NAME.sub("_", "_".join(parts)))

    @property
    def prometheus_name(self) -> str:
        """What Prometheus has."""
        return f"ray_{self.ray_name}" + ("_total" if self.kind == "counter" else "")

    def match(self, name: str) -> dict[str, str] | None:
        """The labels of a figure of a row; None where it is not of this metric."""
        match = self._pattern.fullmatch(name)
        return match.groupdict() if match else None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = _LABEL.split(self.name)
        # Every second part is the name of a label.
        texts = [
            f"(?P<{part}>.+)" if number % 2 else re.escape(part)
            for number, part in enumerate(parts)
        ]
        return re.compile("".join(texts))

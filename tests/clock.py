"""Metrics that differ between two runs that are otherwise the same."""

from __future__ import annotations

from typing import Any

TIMED = (
    "time",
    "seconds",
    "learner/seconds",
    "overlap",
    "processor",
    "rollout/tokens_per_s",
    "rollout/outstanding",
    "sandbox/program_ms",
    "sandbox/peak",
)
"""What the names of metrics begin with that depend on the clock."""


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `metrics.jsonl` without these."""
    return [{key: value for key, value in row.items() if not key.startswith(TIMED)} for row in rows]

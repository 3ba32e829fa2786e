"""BroadcastTargets: the engines that one weight broadcast goes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BroadcastTargets:
    """The engines of one broadcast and how they are reached."""

    backend: str
    """`gloo` (CPUs), `nccl` (GPUs) or `ipc` (engines on the learner's GPUs)."""
    workers: tuple[Any, ...]
    """Handles of the rollout actors."""
    engines: tuple[tuple[str, int], ...]
    """Each worker's name and how often its engine was restarted: together they identify an engine.
    The broadcast group stays open as long as these stay the same."""
    ranks_per_worker: int
    """Engine processes of one actor."""
    deadline_s: float
    """Longest wait for any of them [seconds]."""

    def __str__(self) -> str:
        return ", ".join(name for name, _ in self.engines)

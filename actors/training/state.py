"""TrainerState: what a resumed run needs beside the learner and the schedule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class TrainerState:
    """Where the loop stands; part of every checkpoint."""

    step: int = 0
    """RL steps done."""
    weight_version: int = 0
    """Version that the fleet holds; the first broadcast makes it 1."""
    next_sample: int = 0
    """Id of the next sample."""
    broadcasts: int = 0
    """Weight broadcasts, first ones included."""
    starts: int = 0
    """Times that the loop began: at the start of the run, at each resume, and at each return to a
    checkpoint. Each begins with a broadcast."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by stage, summed over steps [seconds]."""
    restarts: dict[str, int] = field(default_factory=dict)
    """Actors started again, by role."""
    total_s: float = 0.0
    """Wall time of the loop, in this process and in those before it [seconds]."""
    ledger: dict[str, int] = field(default_factory=dict)
    """Samples by stage reached and by fate (`Ledger.totals`)."""
    before: dict[str, dict[str, Any]] | None = None
    """The evaluation before the first step, by suite."""

    def add_seconds(self, seconds: dict[str, float]) -> None:
        """Add wall time by stage [seconds]."""
        for stage, value in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + value

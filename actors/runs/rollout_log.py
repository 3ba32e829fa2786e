"""What `rollouts.jsonl` keeps of a step: a few rollouts, whole enough to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.rollout.samples import Sample
from learner.trajectory import Trajectory

KEPT = 8
"""Rollouts kept of a step: one per problem, evenly over the batch."""


def rollout_records(
    step: int, samples: Sequence[Sample], trajectories: Sequence[Trajectory]
) -> list[dict[str, Any]]:
    """Rows of prefix, completion, verdict, reward and mask."""
    stride = max(1, len(samples) // KEPT)
    return [
        {
            "step": step,
            "sample_id": sample.sample_id,
            "problem": sample.subtask.problem.id,
            "tier": sample.subtask.problem.difficulty,
            "stage": sample.subtask.stage,
            "stages": sample.subtask.stages,
            "question": sample.subtask.problem.question,
            "prefix": sample.prompt.prefix,
            "completion": sample.text,
            "program_bytes": [sample.program.begin, sample.program.end],
            "token_bytes": sample.token_lengths,
            "executed_mask": [int(kept) for kept in trajectory.executed_mask],
            "outcome": sample.verdict.outcome.value,
            "error": sample.verdict.error,
            "executed_lines": sample.verdict.executed_lines,
            "reward": trajectory.reward,
            "weight_version": trajectory.weight_version,
        }
        for sample, trajectory in list(zip(samples, trajectories, strict=True))[::stride][:KEPT]
    ]

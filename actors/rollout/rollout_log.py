"""Rows of `rollouts.jsonl`: a few rollouts of a step, complete enough to be inspected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.rollout.samples import RolloutGroup, Sample
from learner.trajectory import Trajectory, TrajectoryGroup

KEPT = 8
"""Rollouts kept of a step, evenly spread over the batch."""


def rollout_records(
    step: int, groups: Sequence[tuple[RolloutGroup, TrajectoryGroup]]
) -> list[dict[str, Any]]:
    """Rows of prefix, completion, verdict, reward and mask.

    Args:
        step: the RL step that trained on the rollouts.
        groups: each group with the trajectories of its judged samples.
    """
    rollouts = [
        (group, sample, trajectory)
        for group, trajectories in groups
        for sample, trajectory in zip(group.judged, trajectories.trajectories, strict=True)
    ]
    stride = max(1, len(rollouts) // KEPT)
    return [_record(step, *rollout) for rollout in rollouts[::stride][:KEPT]]


def _record(
    step: int, group: RolloutGroup, sample: Sample, trajectory: Trajectory
) -> dict[str, Any]:
    subtask = group.subtask
    return {
        "step": step,
        "sample_id": sample.sample_id,
        "problem": subtask.problem.id,
        "tier": subtask.problem.difficulty,
        "stage": subtask.stage,
        "stages": subtask.stages,
        "question": subtask.problem.question,
        "prefix": group.prompt.prefix,
        "completion": sample.text,
        "program_bytes": [sample.program.begin, sample.program.end],
        "cuts": [[cut.begin, cut.end, cut.rule] for cut in sample.program.cuts],
        "token_bytes": sample.token_lengths,
        "executed_mask": [int(executed) for executed in trajectory.executed_mask],
        "outcome": sample.verdict.outcome.value,
        "error": sample.verdict.error,
        "missing_library": sample.verdict.missing_library,
        "executed_lines": sample.verdict.executed_lines,
        "reward": trajectory.reward,
        "weight_version": trajectory.weight_version,
    }

"""RecordedGroup: what a group of recorded rollouts was learned from, and what it is like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from actors.errors import RunFailed
from actors.recording.rollout_file import read_rollouts
from deploy.errors import ConfigError
from learner.trajectory import Trajectory

PASSED = "passed"
CRASHED = "runtime_error"
"""The outcome of a program that raised."""


class RecordedGroup:
    """The trajectories of one recorded group that were learned from, with their advantages."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        """Read a line of a step's rollouts.

        Raises:
            KeyError: an earlier version recorded it, without the prompt's token ids.
        """
        learned = [sample for sample in record["samples"] if sample["learner"] is not None]
        self.update: int = record["step"] - 1
        self.tier: str = record["tier"]
        self.trajectories = [_trajectory(record, sample) for sample in learned]
        self.advantages = [sample["learner"]["advantages"] for sample in learned]
        self.logprobs = [sample["learner"]["logprobs"] for sample in learned]
        """By the policy before the update [nats]."""
        self.entropies = [sample["learner"]["entropies"] for sample in learned]
        """Of the policy before the update, at each token [nats]."""

    @property
    def pass_rate(self) -> float:
        """Share of the programs that passed."""
        return self._share(PASSED)

    @property
    def crash_share(self) -> float:
        """Share of the programs that raised."""
        return self._share(CRASHED)

    @property
    def unexecuted_share(self) -> float:
        """Share of the tokens, but for those cut away, on statements that never ran."""
        kept = [
            ran
            for trajectory in self.trajectories
            for ran, cut in zip(trajectory.executed_mask, trajectory.cut_mask, strict=True)
            if not cut
        ]
        return kept.count(False) / len(kept) if kept else 0.0

    def _share(self, outcome: str) -> float:
        return sum(t.outcome == outcome for t in self.trajectories) / len(self.trajectories)


def recorded_groups(files: Iterable[Path], most: int | None) -> list[RecordedGroup]:
    """The recorded groups of some steps that were learned from, at most so many.

    Raises:
        ConfigError: a file is none of rollouts, or was recorded without the prompts' tokens.
    """
    groups: list[RecordedGroup] = []
    for path in files:
        try:
            groups += [
                group for group in map(RecordedGroup, read_rollouts(path)) if group.trajectories
            ]
        except RunFailed as error:
            raise ConfigError(str(error)) from None
        except KeyError as error:
            raise ConfigError(
                f"{path}: recorded by an earlier version, without {error}: record the run again"
            ) from None
    return groups[:most]


def _trajectory(record: Mapping[str, Any], sample: Mapping[str, Any]) -> Trajectory:
    blamed = sample["blamed_mask"]
    return Trajectory(
        sample_id=sample["sample_id"],
        problem_id=record["problem"],
        stage=record["stage"],
        prompt_ids=tuple(record["prompt_ids"]),
        response_ids=tuple(sample["token_ids"]),
        rollout_logprobs=tuple(sample["engine_logprobs"]),
        executed_mask=_flags(sample["executed_mask"]),
        reward=sample["reward"],
        weight_version=sample["weight_version"],
        outcome=sample["outcome"],
        finish_reason=sample["finish_reason"],
        cut_mask=_flags(sample["cut_mask"]),
        blamed_mask=None if blamed is None else _flags(blamed),
        agreed=sample["agreed"] and tuple(sample["agreed"]),
    )


def _flags(bits: str) -> tuple[bool, ...]:
    return tuple(bit == "1" for bit in bits)

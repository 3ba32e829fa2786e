"""StepReport: the figures of one RL step, from which its metrics row and console line are made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from actors.rollout.round import (
    JudgedSample,
    Round,
    missing_libraries,
    outcome_mix,
    rollout_figures,
)
from actors.training.breakdown import lengths, pass_rates, revealed


@dataclass(frozen=True)
class StepReport:
    """What one RL step asked, learned and cost."""

    step: int
    """Number of the step, from 1."""
    round: Round
    """The samples it trained on, and the samples it dropped."""
    trained: Sequence[JudgedSample]
    """The samples that it learned from, in the order of their ids; each has a reward."""
    staleness: Sequence[int]
    """Updates between the weights that wrote a judged sample and those it trained."""
    curriculum: Mapping[str, float]
    """The schedule's figures after the step's observations."""
    learner: Mapping[str, float]
    """The learner's figures of the update."""
    counts: Mapping[str, int]
    """Samples by stage reached and by fate (`Ledger.close`)."""
    restarts: Mapping[str, int]
    """Actors started again in the whole run, by role."""
    processor: Mapping[str, float]
    """Processor time over the length of the step, of the driver's process and of the busiest
    collector's, by role."""
    wait_s: float
    """Wait for the round, as far as it was not generated during the step before [seconds]."""
    learn_s: float
    """The update [seconds]."""
    reward_s: float
    """The rewards of the user's function [seconds]."""
    broadcast_s: float
    """The weight broadcast [seconds]."""
    total_s: float
    """The whole step [seconds]."""
    weight_version: int
    """Version of the weights after the step."""
    weight_bytes: int
    """Size of one copy of the weights [bytes]."""

    @property
    def reward(self) -> float:
        """Mean reward of the samples that it learned from."""
        return fmean([sample.reward.value for sample in self.trained if sample.reward])

    @property
    def reward_parts(self) -> dict[str, float]:
        """Mean of each part of the reward, over the samples that have it."""
        parts: defaultdict[str, list[float]] = defaultdict(list)
        for sample in self.trained:
            for name, value in sample.reward.parts.items() if sample.reward else ():
                parts[name].append(value)
        return {name: fmean(values) for name, values in sorted(parts.items())}

    @cached_property
    def outcomes(self) -> dict[str, float]:
        """Share of each outcome among the judged samples."""
        return outcome_mix(self.round.judged)

    @property
    def pass_rate(self) -> float:
        """Share of the judged samples that passed."""
        return self.outcomes["passed"]

    @property
    def missing_libraries(self) -> dict[str, int]:
        """Libraries that programs import and the sandbox lacks, and how many programs ended so."""
        return missing_libraries(self.round.judged)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time by stage [seconds]; with staleness, stages overlap."""
        return {
            "rollout": self.round.rollout_s,
            "sandbox": self.round.sandbox_s,
            "reward": self.reward_s,
            "wait": self.wait_s,
            "learn": self.learn_s,
            "broadcast": self.broadcast_s,
        }

    def sample_rows(self) -> list[dict[str, Any]]:
        """The samples of the step's first groups, for the tables of sinks."""
        rewards = {s.sample_id: s.reward.value for s in self.trained if s.reward}
        shown = [group.detail for group in self.round.groups[:SAMPLED_GROUPS]]
        return [
            {
                "problem": group.subtask.problem.id,
                "tier": group.subtask.problem.difficulty,
                "stage": group.subtask.stage,
                "prefix": group.prompt.prefix,
                "completion": sample.text,
                "outcome": sample.verdict.outcome.value,
                "error": sample.verdict.error or "",
                "reward": rewards.get(sample.sample_id),
            }
            for group in shown
            if group is not None
            for sample in group.samples
        ]

    def metrics(self) -> dict[str, float]:
        """The step's row of `metrics.jsonl`."""
        made_s = self.round.rollout_s + self.round.sandbox_s
        return {
            "reward": self.reward,
            **_named("reward", self.reward_parts),
            "pass_rate": self.pass_rate,
            **_named("pass_rate", pass_rates(self.round.groups)),
            **_named("outcome", self.outcomes),
            **_named("curriculum", self.curriculum),
            "curriculum/revealed": revealed(self.round.groups),
            **_named("learner", self.learner),
            **_named("length", lengths(self.round)),
            **rollout_figures(self.round),
            **_named("seconds", self.seconds),
            **_named("ledger", self.counts),
            "overlap": max(0.0, 1 - self.wait_s / made_s),
            "rollout/outstanding_tokens": float(self.round.outstanding_tokens),
            "staleness/mean": fmean(self.staleness),
            "staleness/max": float(max(self.staleness)),
            **_named("restarts", self.restarts),
            **_named("processor", self.processor),
            "weights/version": float(self.weight_version),
            "weights/bytes": float(self.weight_bytes),
            "seconds/step": self.total_s,
        }


SAMPLED_GROUPS = 2
"""Groups of a step that the sinks get as a table."""


def _named(section: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{section}/{name}": float(value) for name, value in figures.items()}

"""WeightParityCheck: verifies that every engine holds the weights that the learner sent.

Learner and engines score the same fixed sequences, and their log-probabilities must agree.
Checksums of the weights would not do: on CPUs, vLLM computes with packed copies.
"""

from __future__ import annotations

from dataclasses import dataclass

from actors.errors import RunFailed
from actors.learners.group import LearnerGroup
from actors.rollout.fleet import RolloutFleet
from learner.agreement import compare_logprobs

_CHECKED_WAKE_UPS = 3
"""Broadcasts to colocated engines, which sleep before each, that are followed by a check."""


@dataclass
class WeightParityCheck:
    """Compares the log-probabilities of learner and engines on fixed token sequences."""

    learner: LearnerGroup
    fleet: RolloutFleet
    sequences: list[list[int]]
    """Token ids, at least two in each."""
    tolerance: float | None
    """Difference allowed [nats] (`LogprobDifference.violation`); None takes the default."""
    exact: bool
    """Whether learner and engines compute in float32."""
    deadline_s: float
    """Longest wait for the fleet [seconds]."""
    largest: float = 0.0
    """Largest difference of any passed check [nats]."""
    checks: int = 0
    """Checks that passed."""

    def wake_up_is_new(self) -> bool:
        """Whether colocated engines have slept for the first times, which is always checked.

        What a sleep did to their weights or caches would show in every sample, and nowhere else.
        """
        return self.fleet.colocated and self.checks < _CHECKED_WAKE_UPS

    async def verify(self, version: int) -> float:
        """Compare once; returns the largest difference of a token [nats].

        Args:
            version: of the weights that every engine should hold; named in the error.

        Raises:
            RunFailed: an engine's log-probabilities differ by more than the tolerance: it would
                sample from other weights than those being trained.
        """
        expected = await self.learner.token_logprobs(self.sequences)
        by_engine = await self.fleet.prompt_logprobs(self.sequences, self.deadline_s)
        differences = {
            name: compare_logprobs(expected, logprobs) for name, logprobs in by_engine.items()
        }
        for name, difference in differences.items():
            if violation := difference.violation(self.exact, self.tolerance):
                raise RunFailed(
                    f"weights: {name} does not hold version {version}: its log-probabilities "
                    f"differ from the learner's: {violation}; --resume loads both anew from the "
                    "last checkpoint. Raise weights.verify_tolerance only where the two compute "
                    "in other precisions and a check right after a start differs as much"
                )
        self.checks += 1
        largest = max(difference.largest for difference in differences.values())
        self.largest = max(self.largest, largest)
        return largest

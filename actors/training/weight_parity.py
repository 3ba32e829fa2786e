"""The weight probe: proof that every engine holds the weights the learner sent.

Checksums prove nothing on CPUs, where vLLM keeps packed copies; so the learner and every worker
score the same fixed sequences, and their log-probabilities must agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.errors import RunFailed
from actors.learners.group import LearnerGroup
from actors.rollout.fleet import RolloutFleet


@dataclass
class WeightProbe:
    """Compares learner and fleet on fixed token sequences."""

    learner: LearnerGroup
    fleet: RolloutFleet
    sequences: list[list[int]]
    """Token ids, at least two in each."""
    tolerance: float
    """Largest difference allowed [nats]."""
    deadline_s: float
    """Longest wait for the fleet [seconds]."""
    worst: float = 0.0
    """Largest difference seen in the run [nats]."""
    checks: int = 0
    """Probes that passed."""

    async def verify(self, version: int) -> float:
        """Compare once; returns the largest difference [nats].

        Raises:
            RunFailed: a worker's log-probabilities differ by more than the tolerance: it would
                sample from other weights than the ones being trained.
        """
        reference = await self.learner.token_logprobs(self.sequences)
        fleet = await self.fleet.prompt_logprobs(self.sequences, self.deadline_s)
        differences = {name: largest_difference(reference, got) for name, got in fleet.items()}
        for name, difference in differences.items():
            if not difference <= self.tolerance:
                raise RunFailed(
                    f"weights: {name} does not hold version {version}: its log-probs "
                    f"differ from the learner's by {difference:.2e}, more than "
                    f"weights.verify_tolerance {self.tolerance:.0e}"
                )
        self.checks += 1
        worst = max(differences.values())
        self.worst = max(self.worst, worst)
        return worst


def largest_difference(
    reference: Sequence[Sequence[float]], answer: Sequence[Sequence[float]]
) -> float:
    """Largest absolute difference of two sets of per-token log-probabilities [nats]."""
    return max(
        abs(a - b)
        for wanted, got in zip(reference, answer, strict=True)
        for a, b in zip(wanted, got, strict=True)
    )

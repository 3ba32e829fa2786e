"""What the optimizer steps of one update add up to."""

from collections.abc import Sequence

import torch
from torch import Tensor

from learner.distributed import max_over_ranks, sum_over_ranks


class Tally:
    """Sums over the optimizer steps of one update, on one rank until `metrics`."""

    def __init__(self, device: torch.device) -> None:
        self.steps = 0
        """Optimizer steps done."""
        self._losses = torch.zeros(2, device=device)
        self._clipped = torch.zeros((), device=device)
        self._first_deviation = torch.zeros((), device=device)
        self._norms = [0.0, 0.0]
        self._policy_tokens = 0

    def add_ratios(self, clipped: Tensor, max_deviation: Tensor) -> None:
        """One micro-batch of the policy: tokens outside the clipping range, largest |ratio - 1|."""
        self._clipped += clipped
        if self.steps == 0:
            self._first_deviation = torch.maximum(self._first_deviation, max_deviation)

    def add_step(self, losses: Tensor, norms: Sequence[float], policy_tokens: int) -> None:
        """One optimizer step: this rank's [policy, critic] share of the losses, gradient norms."""
        self.steps += 1
        self._losses += losses
        self._norms = [total + norm for total, norm in zip(self._norms, norms, strict=True)]
        self._policy_tokens += policy_tokens

    def metrics(self) -> dict[str, float]:
        """Means over the optimizer steps, the same on every rank; collective."""
        sums = sum_over_ranks(torch.cat([self._losses, self._clipped[None]])).tolist()
        deviation = max_over_ranks(self._first_deviation)
        return {
            "policy_loss": sums[0] / self.steps,
            "value_loss": sums[1] / self.steps,
            "clip_share": sums[2] / max(1, self._policy_tokens),
            "ratio_max_deviation_first_minibatch": float(deviation),
            "policy_grad_norm": self._norms[0] / self.steps,
            "critic_grad_norm": self._norms[1] / self.steps,
            "optimizer_steps": float(self.steps),
        }

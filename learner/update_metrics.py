"""What the optimizer steps of one update add up to."""

from collections.abc import Sequence

import torch
from torch import Tensor

from learner.algorithm.loss import PolicyLoss
from learner.zero.distributed import max_over_ranks, sum_over_ranks


class Tally:
    """Sums over the optimizer steps of one update, on one rank until `metrics`."""

    def __init__(self, device: torch.device) -> None:
        self.steps = 0
        """Optimizer steps done."""
        self._losses = torch.zeros(2, device=device)
        self._clipped = torch.zeros((), device=device)
        self._kl = torch.zeros((), device=device)
        self._step_kl = torch.zeros((), device=device)
        self._first_deviation = torch.zeros((), device=device)
        self._norms = [0.0, 0.0]
        self._policy_tokens = 0
        self._policy_steps = 0

    def add_surrogate(self, surrogate: PolicyLoss) -> None:
        """One micro-batch of the policy."""
        self._clipped += surrogate.clipped
        self._step_kl += surrogate.kl
        if self.steps == 0:
            self._first_deviation = torch.maximum(self._first_deviation, surrogate.max_deviation)

    def add_step(self, losses: Tensor, norms: Sequence[float], policy_tokens: int) -> float:
        """One optimizer step: this rank's [policy, critic] share of the losses, gradient norms, and
        the policy's tokens over all ranks, 0 if it did not learn.

        Returns the mean KL between old and new policy before the step; collective.
        """
        self.steps += 1
        self._losses += losses
        self._norms = [total + norm for total, norm in zip(self._norms, norms, strict=True)]
        self._policy_tokens += policy_tokens
        self._policy_steps += policy_tokens > 0
        kl = sum_over_ranks(self._step_kl.clone())
        self._kl += kl
        self._step_kl.zero_()
        return float(kl) / max(1, policy_tokens)

    def metrics(self, critic: bool) -> dict[str, float]:
        """Means over the optimizer steps in which policy or critic learned, the same on every rank;
        collective. Without a `critic` there is nothing to tell of one.
        """
        sums = sum_over_ranks(torch.cat([self._losses, self._clipped[None]])).tolist()
        deviation = max_over_ranks(self._first_deviation)
        of_critic = {
            "value_loss": sums[1] / self.steps,
            "critic_grad_norm": self._norms[1] / self.steps,
        }
        return {
            **(of_critic if critic else {}),
            "policy_loss": sums[0] / max(1, self._policy_steps),
            "clip_share": sums[2] / max(1, self._policy_tokens),
            "kl_to_old": float(self._kl) / max(1, self._policy_tokens),
            "ratio_max_deviation_first_minibatch": float(deviation),
            "policy_grad_norm": self._norms[0] / max(1, self._policy_steps),
            "optimizer_steps": float(self.steps),
            "policy_steps": float(self._policy_steps),
        }

"""Metrics of one update, summed over its optimizer steps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from learner.algorithm.loss import PolicyLoss
from learner.zero.distributed import max_over_ranks, sum_over_ranks


class UpdateMetrics:
    """Sums over the optimizer steps of one update.

    Lifecycle: for each optimizer step `add_policy_loss()` per micro-batch, then `add_step()`; at
    the end `reduce()` over all ranks.
    """

    def __init__(self, device: torch.device) -> None:
        self.steps = 0
        """Optimizer steps so far."""
        self.skipped = 0
        """Optimizer steps that were not finite."""
        self._losses = torch.zeros(2, device=device)
        self._clipped = torch.zeros((), device=device)
        self._step_clipped = torch.zeros((), device=device)
        self._kl = torch.zeros((), device=device)
        self._step_kl = torch.zeros((), device=device)
        self._first_deviation = torch.zeros((), device=device)
        self._norms = [0.0, 0.0]
        self._policy_tokens = 0
        self._policy_steps = 0

    def add_policy_loss(self, surrogate: PolicyLoss) -> None:
        """Add one micro-batch of the policy."""
        self._step_clipped += surrogate.clipped
        self._step_kl += surrogate.kl
        if self.steps == 0:
            self._first_deviation = torch.maximum(self._first_deviation, surrogate.max_deviation)

    def add_step(self, losses: Tensor, norms: Sequence[float], policy_tokens: int) -> float:
        """Add one optimizer step; collective.

        Args:
            losses: [policy, critic], this rank's part of the losses.
            norms: [policy, critic], global gradient norms.
            policy_tokens: tokens in the policy loss over all ranks; 0 if the policy took no step.

        Returns:
            KL(old policy || policy) before the step, in nats per token.
        """
        self.steps += 1
        self._losses += losses
        self._norms = [total + norm for total, norm in zip(self._norms, norms, strict=True)]
        self._policy_tokens += policy_tokens
        self._policy_steps += policy_tokens > 0
        self._clipped += self._step_clipped
        kl = sum_over_ranks(self._step_kl.clone())
        self._kl += kl
        self._begin_step()
        return float(kl) / max(1, policy_tokens)

    def skip_step(self) -> None:
        """Leave out an optimizer step whose numbers are not finite."""
        self.skipped += 1
        if self.steps == 0:
            self._first_deviation.zero_()
        self._begin_step()

    def _begin_step(self) -> None:
        self._step_kl.zero_()
        self._step_clipped.zero_()

    def reduce(self, critic: bool) -> dict[str, float]:
        """Means over the optimizer steps in which a model took a step, the same on every rank.

        Collective. Without a `critic` its metrics are left out.
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
            "steps_skipped": float(self.skipped),
        }

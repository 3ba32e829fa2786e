"""PPO's losses as masked sums; the caller divides by the token count of the whole optimizer step.

Sums and not means: a mean per micro-batch would weigh tokens by the micro-batch they fell into.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0


@dataclass(frozen=True)
class PolicyLoss:
    """The policy loss of some tokens and what it says about them."""

    total: Tensor
    """Scalar sum over the mask, differentiable."""
    clipped: Tensor
    """Scalar count of tokens whose ratio lies outside the clipping range."""
    max_deviation: Tensor
    """Scalar, largest |ratio - 1|."""


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
) -> PolicyLoss:
    """Clipped surrogate (PPO, Schulman et al., 2017, eq. 7) with separate lower and upper bounds,
    summed.

    Args:
        logprobs: [tokens], under the policy being trained.
        old_logprobs: [tokens], under the policy at the start of the update, by the same code.
        advantages: [tokens].
        mask: [tokens] bool, the policy mask.
        clip_low: the ratio is clipped below at 1 - clip_low.
        clip_high: and above at 1 + clip_high.
    """
    log_ratio = torch.where(mask, logprobs - old_logprobs, 0.0)
    ratio = log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    clipped_ratio = ratio.clamp(1 - clip_low, 1 + clip_high)
    surrogate = torch.minimum(ratio * advantages, clipped_ratio * advantages)
    deviation = (ratio.detach() - 1).abs()
    return PolicyLoss(
        total=-torch.where(mask, surrogate, 0.0).sum(),
        clipped=(ratio.detach() != clipped_ratio.detach()).sum(),
        max_deviation=deviation.max() if deviation.numel() else deviation.sum(),
    )


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float | None
) -> Tensor:
    """Half the squared error, the larger of clipped and unclipped (Schulman et al.'s baselines),
    summed.

    Args:
        values: [tokens], by the critic being trained.
        old_values: [tokens], at the start of the update.
        returns: [tokens].
        mask: [tokens] bool, the response mask.
        clip: bound of |values - old_values|; None takes the unclipped error.
    """
    errors = (values - returns).square()
    if clip is not None:
        near = old_values + (values - old_values).clamp(-clip, clip)
        errors = torch.maximum(errors, (near - returns).square())
    return 0.5 * torch.where(mask, errors, 0.0).sum()

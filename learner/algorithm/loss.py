"""Policy and value losses as masked sums; the caller divides by a count of the optimizer step.

Sums and not means: with a mean per micro-batch, a token's weight would depend on its micro-batch.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from learner.algorithm.kl import MAX_LOG_RATIO, kl_estimate


@dataclass(frozen=True)
class PolicyLoss:
    """The policy loss of some tokens and its metrics. Scalars; sums over the mask."""

    total: Tensor
    """The loss, differentiable."""
    clipped: Tensor
    """Number of tokens whose ratio is outside the clipping range."""
    max_deviation: Tensor
    """Largest |ratio - 1|; not a sum."""
    kl: Tensor
    """KL(old policy || policy), estimated by k3 [nats]."""


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
    weights: Tensor | None = None,
    kind: Literal["ppo", "gspo", "cispo"] = "ppo",
    sequences: Tensor | None = None,
) -> PolicyLoss:
    """The policy loss, summed over the mask. With the ratio r and the advantage A of a token:

    - ppo: -min(r A, clip(r) A) (Schulman et al., 2017, eq. 7), with separate lower and upper bounds
      (clip-higher, DAPO, Yu et al., 2025);
    - gspo: the same with the ratio of the whole response, `sequence_log_ratio`;
    - cispo: -clip(r) A log p, without a gradient through clip(r), so that no token is dropped
      (MiniMax-M1, Chen et al., 2025, arXiv 2506.13585, eq. 4).

    Args:
        logprobs: [tokens], under the policy being trained.
        old_logprobs: [tokens], under the policy at the start of the update.
        advantages: [tokens].
        mask: [tokens] bool, the policy mask.
        clip_low: the ratio is clipped below at 1 - clip_low.
        clip_high: the ratio is clipped above at 1 + clip_high.
        dual_clip: where the advantage is negative, the surrogate is at least dual_clip * advantage
            (dual-clip PPO, Ye et al., 2020, "Mastering Complex Control in MOBA Games").
        weights: [tokens], factors of each token's loss, such as `importance_weights`; None does
            not weight.
        kind: of the loss.
        sequences: [tokens] int64, sorted, the number of the response each token belongs to; gspo
            needs it.
    """
    log_ratio = torch.where(mask, logprobs - old_logprobs, 0.0)
    judged = log_ratio
    if kind == "gspo":
        assert sequences is not None
        judged = sequence_log_ratio(log_ratio, mask, sequences)
    ratio = judged.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    clipped_ratio = ratio.clamp(1 - clip_low, 1 + clip_high)
    if kind == "cispo":
        surrogate = clipped_ratio.detach() * advantages * torch.where(mask, logprobs, 0.0)
    else:
        surrogate = torch.minimum(ratio * advantages, clipped_ratio * advantages)
    if dual_clip is not None:
        bounded = torch.maximum(surrogate, dual_clip * advantages)
        surrogate = torch.where(advantages < 0, bounded, surrogate)
    if weights is not None:
        surrogate = surrogate * weights
    ratio = ratio.detach()
    deviation = (ratio - 1).abs()
    return PolicyLoss(
        total=-torch.where(mask, surrogate, 0.0).sum(),
        clipped=(mask & (ratio != clipped_ratio.detach())).sum(),
        max_deviation=deviation.max() if deviation.numel() else deviation.sum(),
        kl=kl_estimate(-log_ratio.detach(), torch.zeros_like(log_ratio), "k3").sum(),
    )


def sequence_log_ratio(log_ratio: Tensor, mask: Tensor, sequences: Tensor) -> Tensor:
    """Log of the length-normalised likelihood ratio of each token's response: the mean of its
    tokens' log-ratios (GSPO, Zheng et al., 2025, arXiv 2507.18071, eq. 7). The gradient of a token
    goes through its own log-probability alone (GSPO-token, eq. 14): with one advantage for a
    response the sum is GSPO's gradient (eq. 10), and advantages may differ between tokens.

    Args:
        log_ratio: [tokens], 0 outside the mask.
        mask: [tokens] bool, tokens in the mean.
        sequences: [tokens] int64, sorted, from 0.

    Returns:
        [tokens].
    """
    count = int(sequences[-1]) + 1 if sequences.numel() else 0
    totals = log_ratio.new_zeros(count).index_add(0, sequences, log_ratio.detach())
    lengths = log_ratio.new_zeros(count).index_add(0, sequences, mask.to(log_ratio.dtype))
    means = totals / lengths.clamp(min=1)
    return means[sequences] + (log_ratio - log_ratio.detach())


def importance_weights(logprobs: Tensor, rollout_logprobs: Tensor, cap: float) -> Tensor:
    """Truncated importance weights, without gradient: min(exp(logprobs - rollout_logprobs), cap).

    They correct for an engine that computes in another precision (truncated importance sampling,
    Yao et al., 2025, "Your efficient RL framework secretly brings you off-policy RL training") and
    for samples of older weights (decoupled PPO, Hilton et al., 2022, "Batch size-invariance for
    policy optimization").

    Args:
        logprobs: by the trainer at the start of the update, any shape.
        rollout_logprobs: by the engine that sampled, the same shape.
        cap: largest weight.
    """
    difference = (logprobs - rollout_logprobs).detach()
    return difference.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp().clamp(max=cap)


def kl_loss(
    logprobs: Tensor,
    reference_logprobs: Tensor,
    mask: Tensor,
    estimator: str,
    clip: float,
    weights: Tensor | None = None,
) -> Tensor:
    """KL to the reference as a loss: bounded estimates (`learner.algorithm.kl`), summed over the
    mask.

    Args:
        logprobs: [tokens], under the policy being trained.
        reference_logprobs: [tokens], under the frozen reference.
        mask: [tokens] bool, penalised tokens.
        estimator: k2 or k3.
        clip: bound of one token's estimate [nats]; a token above it has no gradient.
        weights: [tokens], factors of each token's penalty; None does not weight.

    Raises:
        ValueError: the estimator is k1, whose expected gradient is zero.
    """
    if estimator not in ("k2", "k3"):
        raise ValueError(f"{estimator} cannot be a loss: take k2 or k3")
    kl = kl_estimate(
        torch.where(mask, logprobs, 0.0), torch.where(mask, reference_logprobs, 0.0), estimator
    )
    kl = kl.clamp(max=clip)
    if weights is not None:
        kl = kl * weights
    return torch.where(mask, kl, 0.0).sum()


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float | None
) -> Tensor:
    """Half the larger of clipped and unclipped squared error (as in OpenAI's `baselines`, ppo2),
    summed over the mask.

    Args:
        values: [tokens], by the critic being trained.
        old_values: [tokens], at the start of the update.
        returns: [tokens].
        mask: [tokens] bool, the value mask.
        clip: bound of |values - old_values| in the clipped error; None uses the unclipped error.
    """
    errors = (values - returns).square()
    if clip is not None:
        near = old_values + (values - old_values).clamp(-clip, clip)
        errors = torch.maximum(errors, (near - returns).square())
    return 0.5 * torch.where(mask, errors, 0.0).sum()

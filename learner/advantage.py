"""Rewards per token, advantages and whitening. Every tensor is [samples, response_len], padded on
the right.
"""

import torch
from torch import Tensor


def kl_k1(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Unbiased one-sample estimate of KL(policy || reference) per token, in nats (Schulman, 2020:
    k1).
    """
    return logprobs - reference_logprobs


def token_rewards(
    rewards: Tensor, kl: Tensor, response_mask: Tensor, coefficient: float, clip: float
) -> Tensor:
    """Reward of each token: -coefficient * clip(kl), plus the terminal reward on the last response
    token.

    Args:
        rewards: [samples], the outcome's reward.
        kl: [samples, response_len], k1 estimates in nats.
        response_mask: [samples, response_len] bool, True on response tokens, which come first.
        coefficient: weight of the penalty.
        clip: bound of the absolute estimate of one token.

    Returns:
        [samples, response_len]; zero outside the mask. An empty response receives nothing.
    """
    penalty = torch.where(response_mask, kl.clamp(-clip, clip), 0.0) * coefficient
    lengths = response_mask.sum(-1, keepdim=True)
    positions = torch.arange(response_mask.shape[-1], device=response_mask.device)
    return torch.where(positions == lengths - 1, rewards[:, None], 0.0) - penalty


def gae(
    rewards: Tensor, values: Tensor, response_mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al., 2016, eq. 16), the episode ending with the
    response.

    Args:
        rewards: [samples, response_len].
        values: [samples, response_len], V of the state before each token.
        response_mask: [samples, response_len] bool.
        gamma: discount per token.
        lam: lambda.

    Returns:
        Advantages and returns (advantages + values), zero outside the mask.
    """
    rewards = torch.where(response_mask, rewards, 0.0)
    values = torch.where(response_mask, values, 0.0)
    advantages = torch.zeros_like(values)
    following = next_value = torch.zeros(len(values), device=values.device)
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        following = torch.where(response_mask[:, t], delta + gamma * lam * following, 0.0)
        advantages[:, t] = following
        next_value = values[:, t]
    return advantages, advantages + values


def whiten(values: Tensor, mask: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Shift and scale to mean 0 and variance 1 over the mask; zero outside, finite for any mask."""
    count = mask.sum().clamp(min=1)
    mean = torch.where(mask, values, 0.0).sum() / count
    centred = torch.where(mask, values - mean, 0.0)
    return centred * torch.rsqrt(centred.square().sum() / count + epsilon)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """Share of the returns' variance over the mask that the values explain; 0 where the returns
    don't vary.
    """
    returns, residuals = returns[mask], (returns - values)[mask]
    if returns.numel() == 0 or (variance := returns.var(correction=0)) < 1e-12:
        return 0.0
    return float(1 - residuals.var(correction=0) / variance)

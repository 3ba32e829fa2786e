"""Rewards per token, advantages and whitening. Every tensor is [samples, response_len], padded on
the right.
"""

import torch
from torch import Tensor


def token_rewards(
    rewards: Tensor,
    kl: Tensor,
    response_mask: Tensor,
    coefficient: float,
    clip: float,
    kl_mask: Tensor | None = None,
) -> Tensor:
    """Reward of each token: -coefficient * clip(kl), plus the terminal reward on the last response
    token (Ouyang et al., 2022, "InstructGPT", eq. 2, per token).

    Args:
        rewards: [samples], the outcome's reward.
        kl: [samples, response_len], estimates in nats.
        response_mask: [samples, response_len] bool, True on response tokens, which come first.
        coefficient: weight of the penalty.
        clip: bound of the absolute estimate of one token.
        kl_mask: [samples, response_len] bool, tokens that are penalised; None takes all.

    Returns:
        [samples, response_len]; zero outside the mask. An empty response receives nothing.
    """
    penalised = response_mask if kl_mask is None else kl_mask
    penalty = torch.where(penalised, kl.clamp(-clip, clip), 0.0) * coefficient
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


def reward_to_go(rewards: Tensor, response_mask: Tensor, gamma: float) -> Tensor:
    """Discounted sum of the rewards from each token on; whitened over the batch, the advantage of
    REINFORCE++ (Hu, 2025, arXiv 2501.03262).

    Args:
        rewards: [samples, response_len].
        response_mask: [samples, response_len] bool.
        gamma: discount per token.
    """
    returns, _ = gae(rewards, torch.zeros_like(rewards), response_mask, gamma, lam=1.0)
    return returns


def grpo(scores: Tensor, groups: Tensor) -> Tensor:
    """(score - mean) / (standard deviation + 1e-6) within each group (DeepSeekMath, Shao et al.,
    2024, section 4.1.2); 0 where a group's scores are all the same.

    Args:
        scores: [samples], what each whole response earned.
        groups: [samples] int64, the number of the group each sample belongs to, from 0.

    Returns:
        [samples], the advantage of every token of the response.
    """
    counts, means = _group_means(scores, groups)
    centred = scores.double() - means[groups]
    squares = torch.zeros_like(means).index_add_(0, groups, centred.square())
    return (centred / ((squares / counts).sqrt()[groups] + 1e-6)).to(scores.dtype)


def rloo(scores: Tensor, groups: Tensor) -> Tensor:
    """Score minus the mean of the group's other scores (REINFORCE leave-one-out, Ahmadian et al.,
    2024, arXiv 2402.14740); 0 for a sample alone in its group.

    Args:
        scores: [samples], what each whole response earned.
        groups: [samples] int64, the number of the group each sample belongs to, from 0.

    Returns:
        [samples], the advantage of every token of the response.
    """
    counts, means = _group_means(scores, groups)
    # s - (n m - s) / (n - 1) = (s - m) n / (n - 1)
    centred = scores.double() - means[groups]
    return (centred * (counts / (counts - 1).clamp(min=1))[groups]).to(scores.dtype)


def _group_means(scores: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Samples and mean score of each group, both [groups].

    In float64: a mean of equal scores must be that score, or noise would be scaled to an advantage.
    """
    counts = groups.bincount().double()
    return counts, torch.zeros_like(counts).index_add(0, groups, scores.double()) / counts


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

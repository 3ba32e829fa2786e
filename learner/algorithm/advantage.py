"""Rewards per token, advantages and whitening.

Tensors are [samples, response_len], padded on the right, unless another shape is given.
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
    """Reward of each token: -coefficient * clip(kl), plus the outcome's reward on the last response
    token (InstructGPT, Ouyang et al., 2022, eq. 2, per token).

    Args:
        rewards: [samples], reward of each outcome.
        kl: [samples, response_len], estimates in nats.
        response_mask: [samples, response_len] bool, True on response tokens, which come first.
        coefficient: weight of the penalty.
        clip: bound of the absolute estimate of one token.
        kl_mask: [samples, response_len] bool, penalised tokens; None penalises all.

    Returns:
        [samples, response_len]; zero outside the mask. An empty response has no rewards.
    """
    penalised = response_mask if kl_mask is None else kl_mask
    penalty = torch.where(penalised, kl.clamp(-clip, clip), 0.0) * coefficient
    lengths = response_mask.sum(-1, keepdim=True)
    positions = torch.arange(response_mask.shape[-1], device=response_mask.device)
    return torch.where(positions == lengths - 1, rewards[:, None], 0.0) - penalty


def gae(
    rewards: Tensor, values: Tensor, response_mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (GAE, Schulman et al., 2016, eq. 16); the episode ends with
    the response.

    Args:
        rewards: [samples, response_len].
        values: [samples, response_len], value of the state before each token.
        response_mask: [samples, response_len] bool.
        gamma: discount per token.
        lam: weight of longer estimates; 0 uses one step, 1 the whole return.

    Returns:
        Advantages and returns (advantages + values), both [samples, response_len], zero outside the
        mask.
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
    """Discounted sum of the rewards from each token on. Whitened over the batch it is the advantage
    of REINFORCE++ (Hu, 2025, arXiv 2501.03262).

    Args:
        rewards: [samples, response_len].
        response_mask: [samples, response_len] bool.
        gamma: discount per token.

    Returns:
        [samples, response_len], zero outside the mask.
    """
    returns, _ = gae(rewards, torch.zeros_like(rewards), response_mask, gamma, lam=1.0)
    return returns


def grpo(scores: Tensor, groups: Tensor) -> Tensor:
    """Group-relative advantage: (score - mean) / (standard deviation + 1e-6) within each group
    (GRPO, DeepSeekMath, Shao et al., 2024, section 4.1.2); exactly 0 if a group's scores are equal.

    Args:
        scores: [samples], sum of each response's rewards.
        groups: [samples] int64, the number of the group each sample belongs to, from 0.

    Returns:
        [samples], the advantage of every token of the response.
    """
    counts, means = _group_means(scores, groups)
    centred = scores.double() - means[groups]
    squares = torch.zeros_like(means).index_add_(0, groups, centred.square())
    return (centred / ((squares / counts).sqrt()[groups] + 1e-6)).to(scores.dtype)


def dr_grpo(scores: Tensor, groups: Tensor) -> Tensor:
    """Group-relative advantage without the division by the spread, which gives more weight to
    prompts of little spread: score - mean within each group (Dr. GRPO, Liu et al., 2025, arXiv
    2503.20783, section 3.2).

    Args:
        scores: [samples], sum of each response's rewards.
        groups: [samples] int64, the number of the group each sample belongs to, from 0.

    Returns:
        [samples], the advantage of every token of the response.
    """
    _, means = _group_means(scores, groups)
    return (scores.double() - means[groups]).to(scores.dtype)


def rloo(scores: Tensor, groups: Tensor) -> Tensor:
    """Leave-one-out advantage: score minus the mean of the group's other scores (RLOO, Ahmadian et
    al., 2024, arXiv 2402.14740); 0 for a sample alone in its group.

    Args:
        scores: [samples], sum of each response's rewards.
        groups: [samples] int64, the number of the group each sample belongs to, from 0.

    Returns:
        [samples], the advantage of every token of the response.
    """
    counts, means = _group_means(scores, groups)
    # s - (n m - s) / (n - 1) = (s - m) n / (n - 1)
    centred = scores.double() - means[groups]
    return (centred * (counts / (counts - 1).clamp(min=1))[groups]).to(scores.dtype)


def _group_means(scores: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Number of samples and mean score of each group, both [groups]."""
    # In float64 the mean of equal scores is that score. A rounding error would not be 0, and GRPO's
    # division by the spread would scale it up to an advantage.
    counts = groups.bincount().double()
    return counts, torch.zeros_like(counts).index_add(0, groups, scores.double()) / counts


def whiten(values: Tensor, mask: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Shift and scale values to mean 0 and variance 1 over the mask.

    Args:
        values: [samples, response_len].
        mask: [samples, response_len] bool.
        epsilon: added to the variance.

    Returns:
        [samples, response_len]; zero outside the mask, finite for any mask.
    """
    count = mask.sum().clamp(min=1)
    mean = torch.where(mask, values, 0.0).sum() / count
    centred = torch.where(mask, values - mean, 0.0)
    return centred * torch.rsqrt(centred.square().sum() / count + epsilon)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """Share of the returns' variance that the values explain: 1 - Var(returns - values) /
    Var(returns) over the mask; 0 if the returns do not vary.

    Args:
        values: [samples, response_len], by the critic.
        returns: [samples, response_len].
        mask: [samples, response_len] bool.
    """
    returns, residuals = returns[mask], (returns - values)[mask]
    if returns.numel() == 0 or (variance := returns.var(correction=0)) < 1e-12:
        return 0.0
    return float(1 - residuals.var(correction=0) / variance)

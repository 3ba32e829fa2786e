"""What one update learns from: a batch of trajectories with everything that stays fixed while it is
optimised.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from learner.advantage import explained_variance, gae, kl_k1, token_rewards, whiten
from learner.config import LearnerConfig
from learner.trajectory import Trajectory


@dataclass(frozen=True)
class Scores:
    """What the three models say about the response tokens, before the update. All [samples,
    response_len].
    """

    logprobs: Tensor
    """By the policy about to be trained: the `old` of the ratio."""
    reference_logprobs: Tensor
    """By the frozen reference."""
    values: Tensor
    """By the critic, of the state before each token."""
    entropies: Tensor
    """Of the policy's distribution, in nats."""


@dataclass(frozen=True)
class Masks:
    """Two masks, never mixed; both [samples, response_len] bool."""

    response: Tensor
    """Every generated token: rewards, advantages, whitening, KL, value loss."""
    policy: Tensor
    """Generated and executed: the policy loss."""


@dataclass(frozen=True)
class Experience:
    """Scores turned into targets. All [samples, response_len], zero outside the response."""

    masks: Masks
    old_logprobs: Tensor
    old_values: Tensor
    advantages: Tensor
    """Whitened over the response mask."""
    returns: Tensor
    metrics: dict[str, float]
    """What the batch looked like before the update."""


def make_masks(trajectories: Sequence[Trajectory], fgo: bool, device: torch.device) -> Masks:
    """Masks of a batch; without `fgo` the policy mask is the response mask."""
    response_len = max((len(t.response_ids) for t in trajectories), default=0)
    response = torch.zeros(len(trajectories), response_len, dtype=torch.bool)
    executed = torch.zeros_like(response)
    for row, trajectory in enumerate(trajectories):
        length = len(trajectory.response_ids)
        response[row, :length] = True
        executed[row, :length] = torch.tensor(trajectory.policy_mask, dtype=torch.bool)
    policy = response & executed if fgo else response
    return Masks(response.to(device), policy.to(device))


def make_experience(
    trajectories: Sequence[Trajectory], masks: Masks, scores: Scores, config: LearnerConfig
) -> Experience:
    """Rewards per token, advantages and returns from scores; the same on every rank."""
    response = masks.response
    device = response.device
    rewards = torch.tensor([t.reward for t in trajectories], device=device)
    rollout_logprobs = torch.zeros_like(scores.logprobs)
    rollout_logprobs[response] = torch.tensor(
        [value for t in trajectories for value in t.rollout_logprobs], device=device
    )
    kl = kl_k1(scores.logprobs, scores.reference_logprobs)
    advantages, returns = gae(
        token_rewards(rewards, kl, response, config.kl_coefficient, config.kl_clip),
        scores.values,
        response,
        config.gamma,
        config.gae_lambda,
    )
    tokens = response.sum().clamp(min=1)
    mismatch = (rollout_logprobs - scores.logprobs).abs()[response]
    metrics = {
        "reward": float(rewards.mean()),
        "kl": float(kl[response].sum() / tokens),
        "entropy": float(scores.entropies[response].sum() / tokens),
        "masked_share": float(1 - masks.policy.sum() / tokens) if response.any() else 0.0,
        "explained_variance": explained_variance(scores.values, returns, response),
        "rollout_trainer_logprob_diff": float(mismatch.max()) if mismatch.numel() else 0.0,
        "rollout_trainer_logprob_diff_mean": float(mismatch.sum() / tokens),
        "tokens": float(response.sum()),
    }
    return Experience(
        masks=masks,
        old_logprobs=scores.logprobs,
        old_values=scores.values,
        advantages=whiten(advantages, response),
        returns=returns,
        metrics=metrics,
    )

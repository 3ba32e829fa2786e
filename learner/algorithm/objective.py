"""The scalars that are differentiated: losses of one micro-batch, scaled for its optimizer step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from learner.algorithm.experience import Experience, Masks
from learner.algorithm.loss import PolicyLoss, kl_loss, policy_loss, value_loss
from learner.config import LearnerConfig


@dataclass(frozen=True)
class Scales:
    """Factor of each term's sum: number of ranks / the term's tokens in the whole optimizer step.

    DeepSpeed averages gradients over ranks. With these factors the accumulated gradient is that of
    the mean over the step's tokens, for any split into ranks and micro-batches.
    """

    policy: float
    value: float
    kl: float
    policy_tokens: int
    """Tokens of the step in the policy loss, over all ranks."""


@dataclass(frozen=True)
class Tokens:
    """Response tokens of some samples along one axis, in the order of a `TokenBatch`'s targets."""

    rows: Tensor
    """[samples] int64, the samples' rows in the experience."""
    response: Tensor
    """[samples, response_len] bool, their response mask."""

    def of(self, table: Tensor) -> Tensor:
        """Select these tokens [tokens] from a table [batch, response_len] of the whole batch."""
        return table[self.rows][self.response]


def step_scales(masks: Masks, samples: Tensor, world_size: int) -> Scales:
    """Scales of one optimizer step.

    Args:
        masks: of the whole batch.
        samples: [samples] int64, rows of the step's samples over all ranks.
        world_size: number of ranks.

    Returns:
        The scales; a term without any token has a finite scale, and its sum is 0.
    """
    policy, value, kl = (int(mask[samples].sum()) for mask in (masks.policy, masks.value, masks.kl))
    return Scales(
        *(world_size / max(1, count) for count in (policy, value, kl)), policy_tokens=policy
    )


def policy_objective(
    logprobs: Tensor,
    entropies: Tensor | None,
    tokens: Tokens,
    experience: Experience,
    config: LearnerConfig,
    scales: Scales,
) -> tuple[Tensor, PolicyLoss]:
    """Clipped surrogate, minus the entropy bonus, plus the KL penalty if it is a loss.

    Args:
        logprobs: [tokens], under the policy being trained.
        entropies: [tokens] in nats; required unless config.entropy_coefficient is 0.
        tokens: the position of these tokens in the experience.
        experience: of the whole batch.
        config: the learner's.
        scales: of the optimizer step.

    Returns:
        The scalar to differentiate, and the surrogate with its metrics.
    """
    mask = tokens.of(experience.masks.policy)
    surrogate = policy_loss(
        logprobs,
        tokens.of(experience.scores.logprobs),
        tokens.of(experience.advantages),
        mask,
        config.clip_low,
        config.clip_high,
        config.dual_clip,
        None if experience.weights is None else tokens.of(experience.weights),
    )
    loss = surrogate.total * scales.policy
    if config.entropy_coefficient and entropies is not None:
        bonus = torch.where(mask, entropies, 0.0).sum() * scales.policy
        loss = loss - config.entropy_coefficient * bonus
    reference = experience.scores.reference_logprobs
    if config.kl_in == "loss" and reference is not None:
        penalty = kl_loss(
            logprobs,
            tokens.of(reference),
            tokens.of(experience.masks.kl),
            config.kl_estimator,
            config.kl_clip,
        )
        loss = loss + config.kl_coefficient * scales.kl * penalty
    return loss, surrogate


def value_objective(
    values: Tensor, tokens: Tokens, experience: Experience, config: LearnerConfig, scales: Scales
) -> Tensor:
    """Clipped squared error of the critic's values.

    Args:
        values: [tokens], by the critic being trained.
        tokens: the position of these tokens in the experience.
        experience: of the whole batch; needs values and returns.
        config: the learner's.
        scales: of the optimizer step.

    Returns:
        The scalar to differentiate.
    """
    assert experience.scores.values is not None
    assert experience.returns is not None
    return scales.value * value_loss(
        values,
        tokens.of(experience.scores.values),
        tokens.of(experience.returns),
        tokens.of(experience.masks.value),
        config.value_clip,
    )

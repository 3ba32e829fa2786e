"""The scalars that are differentiated: losses of one micro-batch, scaled for its optimizer step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from learner.algorithm.experience import Experience, Masks
from learner.algorithm.loss import (
    PolicyLoss,
    importance_weights,
    kl_loss,
    policy_loss,
    value_loss,
)
from learner.config import LearnerConfig


@dataclass(frozen=True)
class Scales:
    """Factor of each term's sum: number of ranks / what `LearnerConfig.normalisation` divides by
    in the whole optimizer step.

    DeepSpeed averages gradients over ranks. With these factors the accumulated gradient is that of
    the mean over the step, for any split into ranks and micro-batches.
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

    @property
    def sequences(self) -> Tensor:
        """[tokens] int64, the number of the sample that each token belongs to, from 0."""
        numbers = torch.arange(len(self.rows), device=self.response.device)
        return numbers.repeat_interleave(self.response.sum(-1))

    def shares(self, mask: Tensor) -> Tensor:
        """[tokens], 1 / the tokens of each token's sample in a mask [batch, response_len]."""
        return (1 / mask[self.rows].sum(-1).clamp(min=1))[self.sequences]


def step_scales(masks: Masks, samples: Tensor, world_size: int, config: LearnerConfig) -> Scales:
    """Scales of one optimizer step. With the masked losses l of the tokens of n responses, the step
    minimises (the value loss always the first):

    - token: sum l / tokens in the mask (DAPO, Yu et al., 2025, eq. 8);
    - sequence: the mean over responses with a token in the mask of their means of l (GRPO,
      DeepSeekMath, Shao et al., 2024, eq. 3);
    - constant: sum l / (n `max_response_tokens`) (Dr. GRPO, Liu et al., 2025, arXiv 2503.20783,
      section 3.2).

    Args:
        masks: of the whole batch.
        samples: [samples] int64, rows of the step's samples over all ranks.
        world_size: number of ranks.
        config: the learner's.

    Returns:
        The scales; a term without any token has a finite scale, and its sum is 0.
    """

    def divisor(mask: Tensor) -> int:
        if config.normalisation == "constant":
            assert config.max_response_tokens is not None
            return len(samples) * config.max_response_tokens
        if config.normalisation == "sequence":
            return int(mask[samples].any(-1).sum())
        return int(mask[samples].sum())

    return Scales(
        policy=world_size / max(1, divisor(masks.policy)),
        value=world_size / max(1, int(masks.value[samples].sum())),
        kl=world_size / max(1, divisor(masks.kl)),
        policy_tokens=int(masks.policy[samples].sum()),
    )


def policy_objective(
    logprobs: Tensor,
    entropies: Tensor | None,
    tokens: Tokens,
    experience: Experience,
    config: LearnerConfig,
    scales: Scales,
) -> tuple[Tensor, PolicyLoss]:
    """Policy loss, minus the entropy bonus, plus the KL penalty if it is a loss.

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
    by_sequence = config.normalisation == "sequence"
    shares = tokens.shares(experience.masks.policy) if by_sequence else None
    old, importance = tokens.of(experience.scores.logprobs), None
    if config.importance_cap is not None:
        by_engines = tokens.of(experience.scores.rollout_logprobs)
        importance = importance_weights(old, by_engines, config.importance_cap)
    surrogate = policy_loss(
        logprobs,
        old,
        tokens.of(experience.advantages),
        mask,
        config.clip_low,
        config.clip_high,
        config.dual_clip,
        _product(importance, shares),
        config.loss,
        tokens.sequences if config.loss == "gspo" else None,
    )
    loss = surrogate.total * scales.policy
    if config.entropy_coefficient and entropies is not None:
        weighted = entropies if shares is None else entropies * shares
        bonus = torch.where(mask, weighted, 0.0).sum() * scales.policy
        loss = loss - config.entropy_coefficient * bonus
    reference = experience.scores.reference_logprobs
    if config.kl_in == "loss" and reference is not None:
        penalty = kl_loss(
            logprobs,
            tokens.of(reference),
            tokens.of(experience.masks.kl),
            config.kl_estimator,
            config.kl_clip,
            tokens.shares(experience.masks.kl) if by_sequence else None,
        )
        loss = loss + config.kl_coefficient * scales.kl * penalty
    return loss, surrogate


def _product(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """The product of two factors, either of which may be absent."""
    if first is None or second is None:
        return second if first is None else first
    return first * second


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

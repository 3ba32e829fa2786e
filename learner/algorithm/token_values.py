"""What the learner knew of single tokens before an update, copied for inspection."""

import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.algorithm.experience import Experience, left_out, overlong_penalty_of
from learner.algorithm.kl import kl_estimate
from learner.config import LearnerConfig
from learner.trajectory import Sampled

Values = NDArray[np.float32]
"""[tokens], one number per response token."""


@dataclass(frozen=True)
class TokenValues:
    """One sample as the learner saw it before the update that trained on it."""

    logprobs: Values
    """By the policy before the update [nats]."""
    reference_logprobs: Values | None
    """By the frozen reference [nats]; None without a KL penalty."""
    entropies: Values
    """Of the policy's distribution at each token [nats]."""
    values: Values | None
    """The critic's value of the state before each token; None without a critic."""
    returns: Values | None
    """Targets of the critic."""
    advantages: Values
    weights: Values | None
    """Truncated importance weights of the policy loss; None if it is not weighted."""
    in_policy_loss: tuple[bool, ...]
    in_value_loss: tuple[bool, ...]
    in_kl_penalty: tuple[bool, ...]
    left_out: tuple[str, ...]
    """Why each token is not in the policy loss, one of `experience.REASONS`; "" for one that is."""
    reward_parts: dict[str, float]
    """What the sample's reward is the sum of: `outcome`, and where they are in use `overlong` and
    `kl` (over all tokens)."""


def pack_values(values: Mapping[int, TokenValues]) -> bytes:
    """The values of samples by their ids as bytes: pickled fields, which are read without torch."""
    fields = {sample_id: dict(vars(of_sample)) for sample_id, of_sample in values.items()}
    return pickle.dumps(fields, protocol=5)


def token_values(
    trajectories: Sequence[Sampled],
    experience: Experience,
    config: LearnerConfig,
    update: int,
    samples: Collection[int],
) -> dict[int, TokenValues]:
    """The values of some samples, by their ids.

    Args:
        trajectories: the batch, in the order of the experience's rows.
        experience: of the batch.
        config: the learner's.
        update: number of the update, from 0.
        samples: ids of the samples that are asked for; ids that are not in the batch are skipped.
    """
    wanted = frozenset(samples)
    return {
        trajectory.sample_id: _of_sample(trajectory, row, experience, config, update)
        for row, trajectory in enumerate(trajectories)
        if trajectory.sample_id in wanted
    }


def _of_sample(
    trajectory: Sampled, row: int, experience: Experience, config: LearnerConfig, update: int
) -> TokenValues:
    tokens = len(trajectory.response_ids)
    scores, masks = experience.scores, experience.masks

    def floats(table: Tensor) -> Values:
        return table[row, :tokens].to(torch.float32).cpu().numpy().copy()

    def maybe(table: Tensor | None) -> Values | None:
        return None if table is None else floats(table)

    def flags(table: Tensor) -> tuple[bool, ...]:
        of_sample: Any = table[row, :tokens]
        return tuple(of_sample.tolist())

    return TokenValues(
        logprobs=floats(scores.logprobs),
        reference_logprobs=maybe(scores.reference_logprobs),
        entropies=floats(scores.entropies),
        values=maybe(scores.values),
        returns=maybe(experience.returns),
        advantages=floats(experience.advantages),
        weights=maybe(experience.weights),
        in_policy_loss=flags(masks.policy),
        in_value_loss=flags(masks.value),
        in_kl_penalty=flags(masks.kl),
        left_out=tuple(left_out(trajectory, config, update)),
        reward_parts=_reward_parts(trajectory, row, experience, config),
    )


def _reward_parts(
    trajectory: Sampled, row: int, experience: Experience, config: LearnerConfig
) -> dict[str, float]:
    parts = {"outcome": trajectory.reward}
    if config.truncated == "penalise":
        parts["overlong"] = -overlong_penalty_of(trajectory, config)
    reference = experience.scores.reference_logprobs
    if config.kl_in == "reward" and reference is not None:
        kl = kl_estimate(experience.scores.logprobs[row], reference[row], config.kl_estimator)
        kl = kl.clamp(-config.kl_clip, config.kl_clip)[experience.masks.kl[row]]
        parts["kl"] = -config.kl_coefficient * float(kl.sum())
    return parts

"""The policy gradients of recorded groups, with several masks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import get_args

import numpy as np
import torch

from deploy.errors import ConfigError
from deploy.progress import StageProgress
from deploy.signal.recorded import RecordedGroup
from learner.algorithm.experience import make_masks
from learner.algorithm.gradient_signal import Gram, GramSet
from learner.config import LearnerConfig, MaskKind
from learner.models.batch import token_batch
from learner.models.networks import PolicyModel

MASKS = get_args(MaskKind)
LARGEST_BYTES = 8 * 2**30
"""Largest size of the gradients of all groups, with all masks [bytes]."""
CPU = torch.device("cpu")


def gradient_grams(
    policy: PolicyModel,
    groups: Sequence[RecordedGroup],
    config: LearnerConfig,
    masks: Sequence[str],
    temperature: float,
) -> GramSet:
    """Inner products of the groups' policy gradients; the last mask is the baseline.

    A group's gradient is that of the sum over its tokens of ratio times advantage, with the ratio
    to the policy that the advantages are of: 1 where `policy` is that one. With `normalisation
    sequence` each response counts by its mean. Entropy bonus and a KL loss are not in it.

    Args:
        policy: on the CPU.
        groups: at least one.
        config: of the run that recorded them; its mask is not used.
        masks: values of `learner.mask`.
        temperature: of the rollouts.

    Raises:
        ConfigError: the gradients do not fit into memory.
    """
    parameters = [parameter.requires_grad_() for parameter in policy.parameters()]
    size = sum(parameter.numel() for parameter in parameters)
    of_group = size * len(masks) * 4
    if of_group * len(groups) > LARGEST_BYTES:
        raise ConfigError(
            f"the gradients of {len(groups)} groups, {len(masks)} masks and {size:,} parameters "
            f"take {of_group * len(groups) / 2**30:.0f} GiB: at most "
            f"{LARGEST_BYTES // of_group} groups fit (--groups)"
        )
    *others, baseline = masks
    tables = {mask: torch.zeros(len(groups), size) for mask in masks}
    with StageProgress() as progress:
        progress.begin("groups", len(groups))
        for at, group in enumerate(groups):
            terms = _terms(policy, group, config, temperature)
            for mask, table in tables.items():
                weights = _weights(group, config.model_copy(update={"mask": mask}))
                if not weights.any():
                    continue
                gradients = torch.autograd.grad(
                    terms @ weights, parameters, retain_graph=True, allow_unused=True
                )
                known = zip(parameters, gradients, strict=True)
                table[at] = torch.cat(
                    [(torch.zeros_like(p) if g is None else g).float().flatten() for p, g in known]
                )
            progress.step()
    return GramSet(
        baseline,
        {mask: _products(table, table) for mask, table in tables.items()},
        {mask: _products(tables[mask], tables[baseline]) for mask in others},
    )


def _terms(
    policy: PolicyModel, group: RecordedGroup, config: LearnerConfig, temperature: float
) -> torch.Tensor:
    """Ratio times advantage of every token of a group, one response behind the other."""
    batch = token_batch(
        [trajectory.token_ids for trajectory in group.trajectories],
        [len(trajectory.prompt_ids) for trajectory in group.trajectories],
        CPU,
        [0] * len(group.trajectories),
    )
    logprobs, _ = policy(batch, temperature, config.logprob_chunk)
    ratio = (logprobs - torch.tensor(list(chain(*group.logprobs)))).exp()
    return ratio * torch.tensor(list(chain(*group.advantages)))


def _weights(group: RecordedGroup, config: LearnerConfig) -> torch.Tensor:
    """What each token counts for with the mask of `config`, in the order of `_terms`."""
    masks = make_masks(group.trajectories, config, group.update, CPU).policy.float()
    if config.normalisation == "sequence":
        masks = masks / masks.sum(1, keepdim=True).clamp(min=1)
    lengths = [len(trajectory.response_ids) for trajectory in group.trajectories]
    return torch.cat([row[:length] for row, length in zip(masks, lengths, strict=True)])


def _products(table: torch.Tensor, other: torch.Tensor) -> Gram:
    return np.asarray((table @ other.T).double().numpy())

"""The signal-to-noise ratio of the policy gradient, by mask, from recorded rollouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from actors.errors import RunFailed
from actors.recording.rollout_file import read_rollouts
from deploy.errors import ConfigError
from deploy.progress import StageProgress
from learner.algorithm.experience import make_masks
from learner.algorithm.gradient_signal import Gram
from learner.config import LearnerConfig
from learner.models.batch import token_batch
from learner.models.networks import PolicyModel
from learner.trajectory import Trajectory

MASKS = ("fgo", "error", "random", "random_error", "none")
LARGEST_BYTES = 8 * 2**30
"""Largest size of the gradients of all groups, for one mask [bytes]."""
CPU = torch.device("cpu")


class RecordedGroup:
    """The trajectories of one recorded group that were learned from, with their advantages."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        """Read a line of a step's rollouts.

        Raises:
            KeyError: an earlier version recorded it, without the prompt's token ids.
        """
        learned = [sample for sample in record["samples"] if sample["learner"] is not None]
        self.update: int = record["step"] - 1
        self.trajectories = [_trajectory(record, sample) for sample in learned]
        self.advantages = [sample["learner"]["advantages"] for sample in learned]
        self.logprobs = [sample["learner"]["logprobs"] for sample in learned]
        """By the policy before the update [nats]."""


def recorded_groups(files: Iterable[Path], most: int | None) -> list[RecordedGroup]:
    """The recorded groups of some steps that were learned from, at most so many.

    Raises:
        ConfigError: a file is none of rollouts, or was recorded without the prompts' tokens.
    """
    groups: list[RecordedGroup] = []
    for path in files:
        try:
            groups += [
                group for group in map(RecordedGroup, read_rollouts(path)) if group.trajectories
            ]
        except RunFailed as error:
            raise ConfigError(str(error)) from None
        except KeyError as error:
            raise ConfigError(
                f"{path}: recorded by an earlier version, without {error}: record the run again"
            ) from None
    return groups[:most]


def gradient_grams(
    policy: PolicyModel,
    groups: Sequence[RecordedGroup],
    config: LearnerConfig,
    masks: Sequence[str],
    temperature: float,
) -> dict[str, Gram]:
    """Inner products of the groups' policy gradients, by mask.

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
    if size * len(groups) * 4 > LARGEST_BYTES:
        raise ConfigError(
            f"the gradients of {len(groups)} groups and {size:,} parameters take "
            f"{size * len(groups) * 4 / 2**30:.0f} GiB: at most "
            f"{LARGEST_BYTES // (size * 4)} groups fit (--groups)"
        )
    grams: dict[str, Gram] = {}
    with StageProgress() as progress:
        for mask in masks:
            masked = config.model_copy(update={"mask": mask})
            progress.begin(f"mask {mask}", len(groups))
            table = torch.zeros(len(groups), size)
            for row, group in zip(table, groups, strict=True):
                objective = _objective(policy, group, masked, temperature)
                gradients = torch.autograd.grad(objective, parameters, allow_unused=True)
                row.copy_(
                    torch.cat(
                        [
                            (torch.zeros_like(p) if g is None else g).float().flatten()
                            for p, g in zip(parameters, gradients, strict=True)
                        ]
                    )
                )
                progress.step()
            grams[mask] = np.asarray((table @ table.T).double().numpy())
    return grams


def _objective(
    policy: PolicyModel, group: RecordedGroup, config: LearnerConfig, temperature: float
) -> torch.Tensor:
    masks = make_masks(group.trajectories, config, group.update, CPU).policy
    total = torch.zeros(())
    for row, trajectory in enumerate(group.trajectories):
        tokens = len(trajectory.response_ids)
        if not tokens:
            continue
        batch = token_batch([trajectory.token_ids], [len(trajectory.prompt_ids)], CPU)
        logprobs, _ = policy(batch, temperature, config.logprob_chunk)
        ratio = (logprobs - torch.tensor(group.logprobs[row])).exp()
        terms = ratio * torch.tensor(group.advantages[row]) * masks[row, :tokens]
        kept = int(masks[row, :tokens].sum())
        total = total + terms.sum() / (max(1, kept) if config.normalisation == "sequence" else 1)
    # Without a token in the loss the gradient is zero, and still has a graph.
    return total if total.requires_grad else total + 0 * next(policy.parameters()).sum()


def _trajectory(record: Mapping[str, Any], sample: Mapping[str, Any]) -> Trajectory:
    blamed = sample["blamed_mask"]
    return Trajectory(
        sample_id=sample["sample_id"],
        problem_id=record["problem"],
        stage=record["stage"],
        prompt_ids=tuple(record["prompt_ids"]),
        response_ids=tuple(sample["token_ids"]),
        rollout_logprobs=tuple(sample["engine_logprobs"]),
        executed_mask=_flags(sample["executed_mask"]),
        reward=sample["reward"],
        weight_version=sample["weight_version"],
        outcome=sample["outcome"],
        finish_reason=sample["finish_reason"],
        cut_mask=_flags(sample["cut_mask"]),
        blamed_mask=None if blamed is None else _flags(blamed),
    )


def _flags(bits: str) -> tuple[bool, ...]:
    return tuple(bit == "1" for bit in bits)

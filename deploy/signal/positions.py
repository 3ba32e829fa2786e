"""What the tokens of a response are pushed to, by their place in it: is a mask one-sided?

FGO leaves out tokens of failed responses more than of passed ones, and late tokens more than early
ones. Those that stay are then pushed up more often than down, which lowers their entropy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from deploy.signal.recorded import PASSED, RecordedGroup
from learner.algorithm.experience import make_masks
from learner.config import LearnerConfig

PARTS = 5
"""Parts of equal length that a response is divided into."""


class Positions(BaseModel):
    """Figures by part of the response, from its beginning."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    learned_share: dict[str, list[float]]
    """By mask: share of the tokens that are in the policy loss."""
    advantage: dict[str, list[float]]
    """By mask: sum of the advantages of the tokens in the loss, over the number of all tokens."""
    entropy: dict[str, list[float]]
    """By outcome, passed or not: mean entropy of the policy [nats]."""


def positions(
    groups: Sequence[RecordedGroup], config: LearnerConfig, masks: Sequence[str]
) -> Positions:
    """The figures of these groups' responses.

    Args:
        groups: at least one.
        config: of the run that recorded them; its mask is not used.
        masks: values of `learner.mask`.
    """
    tokens = np.zeros(PARTS)
    learned = {mask: np.zeros(PARTS) for mask in masks}
    pushed = {mask: np.zeros(PARTS) for mask in masks}
    entropies = {outcome: np.zeros((2, PARTS)) for outcome in (PASSED, "not passed")}
    for group in groups:
        kept = {mask: _kept(group, config.model_copy(update={"mask": mask})) for mask in masks}
        for row, trajectory in enumerate(group.trajectories):
            length = len(trajectory.response_ids)
            if not length:
                continue
            parts = np.arange(length) * PARTS // length
            tokens += np.bincount(parts, minlength=PARTS)
            advantages = np.array(group.advantages[row])
            for mask in masks:
                inside = kept[mask][row][:length]
                learned[mask] += np.bincount(parts, inside, PARTS)
                pushed[mask] += np.bincount(parts, inside * advantages, PARTS)
            outcome = PASSED if trajectory.outcome == PASSED else "not passed"
            entropies[outcome][0] += np.bincount(parts, group.entropies[row], PARTS)
            entropies[outcome][1] += np.bincount(parts, minlength=PARTS)
    return Positions(
        learned_share={mask: _rounded(learned[mask], tokens) for mask in masks},
        advantage={mask: _rounded(pushed[mask], tokens) for mask in masks},
        entropy={outcome: _rounded(*sums) for outcome, sums in entropies.items() if sums[1].any()},
    )


def _kept(group: RecordedGroup, config: LearnerConfig) -> np.ndarray:
    masks = make_masks(group.trajectories, config, group.update, torch.device("cpu"))
    return masks.policy.numpy().astype(float)


def _rounded(sums: np.ndarray, numbers: np.ndarray) -> list[float]:
    return list(_means(sums, numbers))


def _means(sums: np.ndarray, numbers: np.ndarray) -> Iterator[float]:
    for total, number in zip(sums, numbers, strict=True):
        yield round(float(total / number), 4) if number else 0.0

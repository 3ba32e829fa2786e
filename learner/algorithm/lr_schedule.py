"""The learning rate over the steps of a run."""

import math
from typing import Literal

from learner.config import LearnerConfig


def lr_share(
    step: int,
    kind: Literal["constant", "cosine", "linear"],
    warmup: int,
    steps: int,
    final_share: float,
) -> float:
    """Learning rate of a step as a share of the peak: linear warm-up, then constant or a decay to
    `final_share` (cosine: Loshchilov & Hutter, 2017, SGDR, eq. 5, without restarts).

    Args:
        step: from 0.
        kind: of the decay.
        warmup: steps of warm-up; the last of them has the peak.
        steps: steps of the whole run, the warm-up included; later ones have the final share.
        final_share: share of the peak at `steps`.
    """
    if step < warmup:
        return (step + 1) / warmup
    if kind == "constant":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    left = 1 - done if kind == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return final_share + (1 - final_share) * left


def lr_shares(config: LearnerConfig, updates: int) -> tuple[float, float]:
    """Learning rates of policy and critic in an update, as shares of their peaks. The policy's
    warm-up begins with its first update, and both decays end together.

    Args:
        config: the learner's.
        updates: number of the update, from 0.
    """
    schedule = config.lr_schedule

    def share(first: int) -> float:
        return lr_share(
            max(0, updates - first),
            schedule.kind,
            schedule.warmup_updates,
            (schedule.updates or 0) - first,
            schedule.final_share,
        )

    return share(config.critic_warmup_steps if config.advantage == "gae" else 0), share(0)

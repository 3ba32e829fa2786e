"""The learning rate over the steps of a run."""

import math
from typing import Literal


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

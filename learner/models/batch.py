"""Sequences laid end to end in one row, as the models take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class TokenBatch:
    """Sequences laid end to end in one row (packed), and which of their tokens are targets."""

    input_ids: Tensor
    """[1, tokens] int64."""
    position_ids: Tensor
    """[1, tokens] int64, from 0 in each sequence."""
    bounds: Tensor
    """[sequences + 1] int32, where each sequence begins, and the end."""
    longest: int
    """Tokens of the longest sequence."""
    index: Tensor
    """[targets] int64, positions in the row of the states that predict the targets."""
    targets: Tensor
    """[targets] int64 token ids, sequence by sequence."""
    counts: tuple[int, ...]
    """Targets of each sequence."""


def token_batch(
    sequences: Sequence[Sequence[int] | NDArray[np.int32]],
    first_targets: Sequence[int],
    device: torch.device,
) -> TokenBatch:
    """Lay out sequences end to end.

    Without any sequence the batch holds one token and no target: a rank without samples must still
    take part in every collective of the forward and backward pass.

    Args:
        sequences: token ids of each.
        first_targets: position of each sequence's first target, at least 1; the tokens from there
            on are targets.
        device: of the tensors.
    """
    if not sequences:
        sequences, first_targets = [[0]], [1]
    lengths = [len(tokens) for tokens in sequences]
    bounds = [0, *accumulate(lengths)]
    row = torch.from_numpy(np.concatenate([np.asarray(ids, np.int64) for ids in sequences]))
    positions = torch.cat([torch.arange(length) for length in lengths])
    index = torch.cat(
        [
            torch.arange(start + first - 1, end - 1)
            for start, end, first in zip(bounds, bounds[1:], first_targets, strict=False)
        ]
    )
    counts = tuple(length - first for length, first in zip(lengths, first_targets, strict=True))
    return TokenBatch(
        row[None].to(device),
        positions[None].to(device),
        torch.tensor(bounds, dtype=torch.int32, device=device),
        max(lengths),
        index.to(device),
        row[index + 1].to(device),
        counts,
    )

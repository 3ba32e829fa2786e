"""Sequences laid end to end in one row, as the models take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class BrokenGradient(NamedTuple):
    """Where the gradient of a row is not finite; None where none arrived."""

    embeddings: Tensor | None = None
    """[tokens] bool."""
    states: Tensor | None = None
    """[targets] bool, at the final states that predict the targets."""


@dataclass(frozen=True)
class TokenBatch:
    """Sequences laid end to end in one row (packed), and which of their tokens are targets.

    Sequences of one group begin with the same prompt. The first of them lies in the row whole, the
    others behind it without their prompt: they attend to that of the first.
    """

    input_ids: Tensor
    """[1, tokens] int64."""
    position_ids: Tensor
    """[1, tokens] int64, from 0 in each sequence, and behind the prompt where it is shared."""
    bounds: Tensor
    """[sequences + 1] int32, where the tokens of each sequence begin, and the end."""
    longest: int
    """Most tokens between two bounds."""
    keys: Tensor | None
    """[key tokens] int64, the positions that each sequence attends to, one sequence after the
    other; None if no prompt is shared and each attends to its own tokens."""
    key_bounds: Tensor
    """[sequences + 1] int32, where each sequence begins in `keys`, and the end."""
    longest_keys: int
    """Most tokens that a sequence attends to."""
    index: Tensor
    """[targets] int64, positions in the row of the states that predict the targets."""
    targets: Tensor
    """[targets] int64 token ids, sequence by sequence."""
    counts: tuple[int, ...]
    """Targets of each sequence."""
    members: tuple[int, ...]
    """Sequences of each group."""

    def sequences_with(self, broken: BrokenGradient) -> list[bool]:
        """Which sequences have a gradient that is not finite.

        Where the loss broke it, its targets tell. Where it broke within the network, the tokens
        behind a shared prompt tell, but for the first sequence: what others break reaches the
        prompt, and with it the attention of the first. If only that is flagged, all that share the
        prompt are told.
        """
        begins: list[int] = self.bounds.tolist()
        at_targets = [False] * len(self.counts)
        if broken.states is not None:
            at_targets = [bool(part.any()) for part in broken.states.split(self.counts)]
        flagged: list[bool] = []
        for members in self.members:
            start = len(flagged)
            own = at_targets[start : start + members]
            if broken.embeddings is not None and not any(own):
                edges = pairwise(begins[start : start + members + 1])
                first, *others = [bool(broken.embeddings[begin:end].any()) for begin, end in edges]
                own = [False, *others] if any(others) else [first] * members
            flagged += own
        return flagged


def token_batch(
    sequences: Sequence[Sequence[int] | NDArray[np.int32]],
    first_targets: Sequence[int],
    device: torch.device,
    groups: Sequence[int] | None = None,
) -> TokenBatch:
    """Lay out sequences end to end.

    Without any sequence the batch holds one token and no target: a rank without samples must still
    take part in every collective of the forward and backward pass.

    Args:
        sequences: token ids of each.
        first_targets: position of each sequence's first target, at least 1; the tokens from there
            on are targets, those before are the prompt.
        device: of the tensors.
        groups: number of each sequence's group; those of one group lie next to each other and have
            the same prompt. None: each is a group of its own.
    """
    if not sequences:
        sequences, first_targets, groups = [[0]], [1], None
    if groups is None:
        groups = range(len(sequences))
    numbers: list[int] = []
    own_ids: list[NDArray[np.int64]] = []
    bounds = [0]
    seen: list[Tensor] = []  # the places in the row of each sequence's tokens, prompt included
    place = 0
    for _, members in groupby(groups):
        count = len(list(members))
        prompt = first_targets[place]
        head = torch.arange(bounds[-1], bounds[-1] + prompt)
        numbers.append(count)
        for number, ids in enumerate(sequences[place : place + count]):
            shared = prompt if number else 0
            begin, end = bounds[-1], bounds[-1] + len(ids) - shared
            own_ids.append(np.asarray(ids[shared:], np.int64))
            seen.append(torch.cat([head[:shared], torch.arange(begin, end)]))
            bounds.append(end)
        place += count
    row = torch.from_numpy(np.concatenate(own_ids))
    key_bounds = [0, *accumulate(map(len, seen))]
    counts = tuple(len(s) - first for s, first in zip(seen, first_targets, strict=True))
    places = torch.cat([s[len(s) - count :] for s, count in zip(seen, counts, strict=True)])
    # The state that predicts a token is that of the token before it.
    states = torch.cat([s[first - 1 : -1] for s, first in zip(seen, first_targets, strict=True)])
    positions = [
        torch.arange(len(s) - len(own), len(s)) for s, own in zip(seen, own_ids, strict=True)
    ]
    return TokenBatch(
        input_ids=row[None].to(device),
        position_ids=torch.cat(positions)[None].to(device),
        bounds=torch.tensor(bounds, dtype=torch.int32, device=device),
        longest=max(map(len, own_ids)),
        keys=torch.cat(seen).to(device) if key_bounds[-1] > bounds[-1] else None,
        key_bounds=torch.tensor(key_bounds, dtype=torch.int32, device=device),
        longest_keys=max(map(len, seen)),
        index=states.to(device),
        targets=row[places].to(device),
        counts=counts,
        members=tuple(numbers),
    )

"""Which samples go together: optimizer steps, ranks and micro-batches. Pure, and the same on every
rank.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """One optimizer step."""

    samples: tuple[int, ...]
    """All its samples, over all ranks."""
    micro_batches: tuple[tuple[int, ...], ...]
    """This rank's micro-batches: as many as on every other rank; an empty one runs too."""


def plan_epoch(
    lengths: Sequence[int], size: int, token_budget: int, rank: int, world_size: int, seed: str
) -> list[Step]:
    """Shuffle samples into optimizer steps of `size` and split each over ranks and micro-batches.

    Which samples share a step depends on `seed` only, never on the number of ranks or the token
    budget.

    Args:
        lengths: tokens of each sample.
        size: samples in one optimizer step over all ranks; the last one may have fewer.
        token_budget: longest sample times number of samples in a micro-batch stays below; a longer
            sample goes alone.
        rank: whose micro-batches to return.
        world_size: number of ranks.
        seed: of the shuffle.
    """
    order = list(range(len(lengths)))
    random.Random(seed).shuffle(order)
    groups = (order[start : start + size] for start in range(0, len(order), size))
    return [plan_step(group, lengths, token_budget, rank, world_size) for group in groups]


def plan_step(
    samples: Sequence[int], lengths: Sequence[int], token_budget: int, rank: int, world_size: int
) -> Step:
    """Split one optimizer step: samples sorted by length, dealt to ranks in turn, cut by token
    budget.
    """
    by_length = sorted(samples, key=lambda sample: (-lengths[sample], sample))
    shares = [by_length[share::world_size] for share in range(world_size)]
    cuts = [_cut(share, lengths, token_budget) for share in shares]
    rounds = max(1, *map(len, cuts))
    mine = cuts[rank]
    return Step(tuple(samples), (*mine, *[()] * (rounds - len(mine))))


def _cut(
    by_length: Sequence[int], lengths: Sequence[int], token_budget: int
) -> tuple[tuple[int, ...], ...]:
    micro_batches: list[list[int]] = []
    for sample in by_length:
        current = micro_batches[-1] if micro_batches else None
        if current and lengths[current[0]] * (len(current) + 1) <= token_budget:
            current.append(sample)
        else:
            micro_batches.append([sample])
    return tuple(map(tuple, micro_batches))


def padding_share(
    steps: Sequence[Step], lengths: Sequence[int], token_budget: int, world_size: int
) -> float:
    """Share of the positions of all ranks' micro-batches that hold no token."""
    held, positions = 0, 0
    for step in steps:
        for rank in range(world_size):
            plan = plan_step(step.samples, lengths, token_budget, rank, world_size)
            for samples in plan.micro_batches:
                held += sum(lengths[i] for i in samples)
                positions += len(samples) * max((lengths[i] for i in samples), default=0)
    return 1 - held / max(1, positions)


@dataclass(frozen=True)
class TokenBatch:
    """Sequences padded on the right, and which of their tokens are targets.

    Causal attention never looks right, so no attention mask is needed.
    """

    input_ids: Tensor
    """[sequences, longest] int64."""
    index: Tensor
    """[targets] int64: flat positions in [sequences, longest] of the states that predict the
    targets.
    """
    targets: Tensor
    """[targets] int64 token ids, sequence by sequence."""
    counts: tuple[int, ...]
    """Targets of each sequence."""


def token_batch(
    sequences: Sequence[Sequence[int]], first_targets: Sequence[int], device: torch.device
) -> TokenBatch:
    """Pad sequences whose tokens from `first_targets[i] >= 1` on are targets.

    Without any sequence the batch holds one token and no target, so that a rank with nothing to do
    can run along.
    """
    if not sequences:
        sequences, first_targets = [[0]], [1]
    longest = max(map(len, sequences))
    input_ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    index, targets = [], []
    for row, (tokens, first) in enumerate(zip(sequences, first_targets, strict=True)):
        input_ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
        index.append(torch.arange(first - 1, len(tokens) - 1) + row * longest)
        targets.append(input_ids[row, first : len(tokens)])
    counts = tuple(map(len, targets))
    return TokenBatch(
        input_ids.to(device), torch.cat(index).to(device), torch.cat(targets).to(device), counts
    )

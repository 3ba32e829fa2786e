"""The plan of an epoch: optimizer steps, ranks and micro-batches. Pure functions, the same plan on
every rank.
"""

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """One optimizer step."""

    samples: tuple[int, ...]
    """All its samples, over all ranks."""
    micro_batches: tuple[tuple[int, ...], ...]
    """This rank's micro-batches, as many as on every other rank; some may be empty."""
    span: int
    """Tokens of the largest micro-batch among the ranks, summed over the micro-batches. Ranks wait
    for each other after each, so the step takes as long as this many tokens on one rank.
    """


def plan_epoch(
    lengths: Sequence[int], size: int, token_budget: int, rank: int, world_size: int, seed: str
) -> list[Step]:
    """Shuffle samples into optimizer steps; split each over ranks and micro-batches.

    Which samples share a step depends on `seed` only, never on the number of ranks or the token
    budget.

    Args:
        lengths: tokens of each sample.
        size: most samples in one optimizer step over all ranks. The steps are as few as possible,
            and their sizes differ by at most one: a small last step would give its samples a
            larger weight.
        token_budget: most tokens in a micro-batch; a longer sample goes alone.
        rank: the rank whose micro-batches are returned.
        world_size: number of ranks.
        seed: of the shuffle.
    """
    order = list(range(len(lengths)))
    random.Random(seed).shuffle(order)
    count = max(1, math.ceil(len(order) / size))
    bounds = [len(order) * step // count for step in range(count + 1)]
    groups = (order[start:end] for start, end in pairwise(bounds))
    return [plan_step(group, lengths, token_budget, rank, world_size) for group in groups]


def plan_step(
    samples: Sequence[int], lengths: Sequence[int], token_budget: int, rank: int, world_size: int
) -> Step:
    """Split one optimizer step into few micro-batches of about equal size within the token budget.

    Micro-batches that run at the same time on different ranks are neighbours in size, and the ranks
    take turns with the largest.
    """
    least = sum(min(lengths[sample], token_budget) for sample in samples) / token_budget
    rounds = max(1, math.ceil(least / world_size))
    while True:
        rows = _balanced(samples, lengths, rounds * world_size)
        sizes = [sum(lengths[sample] for sample in row) for row in rows]
        if all(
            size <= token_budget or len(row) == 1 for row, size in zip(rows, sizes, strict=True)
        ):
            break
        rounds += 1
    mine = [
        rows[start + (world_size - 1 - rank if start // world_size % 2 else rank)]
        for start in range(0, len(rows), world_size)
    ]
    return Step(tuple(samples), tuple(mine), sum(sizes[::world_size]))


def _balanced(samples: Sequence[int], lengths: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """Partition samples into `count` rows, fullest row first: each sample, from the longest on,
    goes to the emptiest row (longest processing time first; Graham, 1969).
    """
    rows: list[list[int]] = [[] for _ in range(count)]
    emptiest = [(0, row) for row in range(count)]
    for sample in sorted(samples, key=lambda sample: (-lengths[sample], sample)):
        size, row = emptiest[0]
        rows[row].append(sample)
        heapq.heapreplace(emptiest, (size + lengths[sample], row))
    return [
        tuple(rows[row]) for _, row in sorted(emptiest, key=lambda entry: (-entry[0], entry[1]))
    ]


def idle_share(steps: Sequence[Step], lengths: Sequence[int], world_size: int) -> float:
    """Share of the ranks' time spent waiting for a rank with more tokens; 0 on one rank."""
    tokens = sum(lengths[sample] for step in steps for sample in step.samples)
    return 1 - tokens / max(1, world_size * sum(step.span for step in steps))


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
    sequences: Sequence[Sequence[int]], first_targets: Sequence[int], device: torch.device
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
    row = torch.tensor([token for tokens in sequences for token in tokens], dtype=torch.long)
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

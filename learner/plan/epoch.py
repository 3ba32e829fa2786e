"""The plan of an epoch: optimizer steps, ranks and micro-batches. Pure functions, the same plan on
every rank and in the driver.
"""

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


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


def epoch_seed(seed: int, update: int, epoch: int) -> str:
    """The seed of an epoch's plan: of the learner's seed, the number of the update and the epoch,
    both from 0."""
    return f"{seed}/{update}/{epoch}"


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
    return [
        plan_step(group, lengths, token_budget, rank, world_size)
        for group in _step_samples(len(lengths), size, seed)
    ]


def plan_step(
    samples: Sequence[int], lengths: Sequence[int], token_budget: int, rank: int, world_size: int
) -> Step:
    """Split one optimizer step into few micro-batches of about equal size within the token budget.

    Micro-batches that run at the same time on different ranks are neighbours in size, and the ranks
    take turns with the largest.
    """
    rows = _rows(samples, lengths, token_budget, world_size)
    spans = (sum(lengths[sample] for sample in row) for row in rows[::world_size])
    return Step(tuple(samples), tuple(_of_rank(rows, rank, world_size)), sum(spans))


def owners(
    lengths: Sequence[int], size: int, token_budget: int, world_size: int, seed: str
) -> list[int]:
    """The rank that each sample of an epoch is on. Arguments as for `plan_epoch`."""
    ranks = [0] * len(lengths)
    for group in _step_samples(len(lengths), size, seed):
        rows = _rows(group, lengths, token_budget, world_size)
        for rank in range(1, world_size):
            for row in _of_rank(rows, rank, world_size):
                for sample in row:
                    ranks[sample] = rank
    return ranks


def _step_samples(count: int, size: int, seed: str) -> list[list[int]]:
    """The samples of each optimizer step of an epoch."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    steps = max(1, math.ceil(count / size))
    bounds = [count * step // steps for step in range(steps + 1)]
    return [order[start:end] for start, end in pairwise(bounds)]


def _rows(
    samples: Sequence[int], lengths: Sequence[int], token_budget: int, world_size: int
) -> list[tuple[int, ...]]:
    """The micro-batches of a step on all ranks, the largest first."""
    least = sum(min(lengths[sample], token_budget) for sample in samples) / token_budget
    rounds = max(1, math.ceil(least / world_size))
    while True:
        rows = _balanced(samples, lengths, rounds * world_size)
        if all(
            len(row) == 1 or sum(lengths[sample] for sample in row) <= token_budget for row in rows
        ):
            return rows
        rounds += 1


def _of_rank(rows: Sequence[tuple[int, ...]], rank: int, world_size: int) -> list[tuple[int, ...]]:
    """A rank's rows of those of all ranks."""
    return [
        rows[start + (world_size - 1 - rank if start // world_size % 2 else rank)]
        for start in range(0, len(rows), world_size)
    ]


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

"""The plan of an epoch: optimizer steps, ranks and micro-batches. Pure functions, the same plan on
every rank and in the driver.
"""

import heapq
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise


@dataclass(frozen=True)
class SampleSizes:
    """Tokens of samples, of which those of one group have the same prompt."""

    groups: Sequence[int]
    """Number of each sample's group."""
    prompts: Sequence[int]
    """Tokens of each sample's prompt."""
    responses: Sequence[int]
    """Tokens of each sample's response."""

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.groups)

    def of(self, sample: int) -> int:
        """Tokens of one sample, prompt included."""
        return self.prompts[sample] + self.responses[sample]

    def tokens(self, samples: Iterable[int]) -> int:
        """Tokens of a micro-batch: a prompt is in it once, whatever the number of its samples."""
        total, seen = 0, set[int]()
        for sample in samples:
            total += self.responses[sample]
            if self.groups[sample] not in seen:
                seen.add(self.groups[sample])
                total += self.prompts[sample]
        return total


def unshared(lengths: Sequence[int]) -> SampleSizes:
    """Sizes of sequences that have no prompt in common, by their tokens."""
    return SampleSizes(range(len(lengths)), [0] * len(lengths), lengths)


@dataclass(frozen=True)
class Step:
    """One optimizer step."""

    samples: tuple[int, ...]
    """All its samples, over all ranks."""
    micro_batches: tuple[tuple[int, ...], ...]
    """This rank's micro-batches, as many as on every other rank; some may be empty."""
    tokens: int
    """Tokens of all micro-batches of all ranks."""
    span: int
    """Tokens of the largest micro-batch among the ranks, summed over the micro-batches. Ranks wait
    for each other after each, so the step takes as long as this many tokens on one rank.
    """


def epoch_seed(seed: int, update: int, epoch: int) -> str:
    """The seed of an epoch's plan: of the learner's seed, the number of the update and the epoch,
    both from 0."""
    return f"{seed}/{update}/{epoch}"


def plan_epoch(
    sizes: SampleSizes, size: int, token_budget: int, rank: int, world_size: int, seed: str
) -> list[Step]:
    """Shuffle samples into optimizer steps; split each over ranks and micro-batches.

    Which samples share a step depends on `seed` only, never on the number of ranks or the token
    budget.

    Args:
        sizes: of the samples.
        size: most samples in one optimizer step over all ranks. The steps are as few as possible,
            and their sizes differ by at most one: a small last step would give its samples a
            larger weight.
        token_budget: most tokens in a micro-batch; a longer sample goes alone.
        rank: the rank whose micro-batches are returned.
        world_size: number of ranks.
        seed: of the shuffle.
    """
    return [
        plan_step(samples, sizes, token_budget, rank, world_size)
        for samples in _step_samples(len(sizes), size, seed)
    ]


def plan_step(
    samples: Sequence[int], sizes: SampleSizes, token_budget: int, rank: int, world_size: int
) -> Step:
    """Split one optimizer step into few micro-batches of about equal size within the token budget.

    In a micro-batch the samples of a group lie next to each other. Micro-batches that run at the
    same time on different ranks are neighbours in size, and the ranks take turns with the largest.
    """
    rows = _rows(samples, sizes, token_budget, world_size)
    return Step(
        tuple(samples),
        tuple(_of_rank(rows, rank, world_size)),
        sum(map(sizes.tokens, rows)),
        _span(rows, sizes, world_size),
    )


def owners(
    sizes: SampleSizes, size: int, token_budget: int, world_size: int, seed: str
) -> list[int]:
    """The rank that each sample of an epoch is on. Arguments as for `plan_epoch`."""
    ranks = [0] * len(sizes)
    for samples in _step_samples(len(sizes), size, seed):
        rows = _rows(samples, sizes, token_budget, world_size)
        for rank in range(1, world_size):
            for row in _of_rank(rows, rank, world_size):
                for sample in row:
                    ranks[sample] = rank
    return ranks


def idle_share(steps: Sequence[Step], world_size: int) -> float:
    """Share of the ranks' time spent waiting for a rank with more tokens; 0 on one rank."""
    tokens = sum(step.tokens for step in steps)
    return 1 - tokens / max(1, world_size * sum(step.span for step in steps))


def _step_samples(count: int, size: int, seed: str) -> list[list[int]]:
    """The samples of each optimizer step of an epoch."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    steps = max(1, math.ceil(count / size))
    bounds = [count * step // steps for step in range(steps + 1)]
    return [order[start:end] for start, end in pairwise(bounds)]


Row = tuple[int, ...]
"""The samples of a micro-batch."""


def _rows(
    samples: Sequence[int], sizes: SampleSizes, token_budget: int, world_size: int
) -> list[Row]:
    """The micro-batches of a step on all ranks, the largest first.

    Groups are kept together, which has each prompt computed once, or cut into halves, quarters and
    so on, which spreads them more evenly over ranks and micro-batches. The division that takes the
    least time is taken.
    """
    groups: dict[int, list[int]] = {}
    for sample in sorted(samples, key=lambda sample: (-sizes.of(sample), sample)):
        groups.setdefault(sizes.groups[sample], []).append(sample)
    least = sum(_least(group, sizes, token_budget) for group in groups.values())
    together = max(map(len, groups.values()), default=1)
    best, span = list[Row](), math.inf
    while together and span * world_size > least:
        pieces = [
            tuple(group[start::count])
            for group in groups.values()
            for count in [math.ceil(len(group) / together)]
            for start in range(count)
        ]
        rows = _packed(pieces, sizes, token_budget, world_size)
        if rows is not None and (needed := _span(rows, sizes, world_size)) < span:
            best, span = rows, needed
        together = 0 if together == 1 else math.ceil(together / 2)
    return best


def _least(group: Sequence[int], sizes: SampleSizes, token_budget: int) -> int:
    """Tokens that no division of a group over micro-batches goes below: its prompt is in as many as
    its responses fill."""
    prompt = sizes.prompts[group[0]]
    fitting = [sizes.responses[at] for at in group if sizes.of(at) <= token_budget]
    filled = math.ceil(sum(fitting) / max(1, token_budget - prompt))
    copies = max(1, len(group) - len(fitting) + filled)
    return copies * prompt + sum(sizes.responses[at] for at in group)


def _packed(
    pieces: Sequence[Row], sizes: SampleSizes, token_budget: int, world_size: int
) -> list[Row] | None:
    """As few micro-batches as hold these pieces of groups, as many on every rank, the largest
    first; None if a piece of several samples is larger than the budget.

    The fewest are searched in growing strides and then by halves: one after the other would be
    thousands of tries where many samples of a step are a little over half of the budget.
    """
    costs = [sizes.tokens(piece) for piece in pieces]
    if any(
        cost > token_budget and len(piece) > 1 for cost, piece in zip(costs, pieces, strict=True)
    ):
        return None
    largest_first = sorted(range(len(pieces)), key=lambda at: (-costs[at], pieces[at]))
    least = sum(min(cost, token_budget) for cost in costs) / token_budget
    rounds, stride = max(1, math.ceil(least / world_size)), 1
    too_few = rounds - 1
    while True:
        rows = _balanced(largest_first, costs, rounds * world_size, token_budget)
        if rows is not None:
            break
        too_few, rounds, stride = rounds, rounds + stride, 2 * stride
    while rounds - too_few > 1:
        middle = (too_few + rounds) // 2
        fewer = _balanced(largest_first, costs, middle * world_size, token_budget)
        if fewer is None:
            too_few = middle
        else:
            rounds, rows = middle, fewer
    samples = [
        _by_group((sample for at in row for sample in pieces[at]), sizes.groups) for row in rows
    ]
    return sorted(samples, key=sizes.tokens, reverse=True)


def _by_group(samples: Iterable[int], groups: Sequence[int]) -> Row:
    """The samples with those of a group next to each other, in the order of each group's first."""
    gathered: dict[int, list[int]] = {}
    for sample in samples:
        gathered.setdefault(groups[sample], []).append(sample)
    return tuple(chain.from_iterable(gathered.values()))


def _span(rows: Sequence[Row], sizes: SampleSizes, world_size: int) -> int:
    """`Step.span` of the rows of all ranks, the largest first."""
    return sum(map(sizes.tokens, rows[::world_size]))


def _of_rank(rows: Sequence[Row], rank: int, world_size: int) -> list[Row]:
    """A rank's rows of those of all ranks."""
    return [
        rows[start + (world_size - 1 - rank if start // world_size % 2 else rank)]
        for start in range(0, len(rows), world_size)
    ]


def _balanced(
    largest_first: Sequence[int], costs: Sequence[int], count: int, token_budget: int
) -> list[list[int]] | None:
    """The numbers of the pieces of each of `count` rows, fullest row first: each piece, from the
    largest on, goes to the emptiest row (longest processing time first; Graham, 1969). None if a
    row of several pieces is larger than the budget.
    """
    rows: list[list[int]] = [[] for _ in range(count)]
    emptiest = [(0, row) for row in range(count)]
    for at in largest_first:
        size, row = emptiest[0]
        if size and size + costs[at] > token_budget:
            return None
        rows[row].append(at)
        heapq.heapreplace(emptiest, (size + costs[at], row))
    return [rows[row] for _, row in sorted(emptiest, key=lambda entry: (-entry[0], entry[1]))]

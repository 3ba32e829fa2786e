"""What each rank is sent of a batch: facts and masks of every sample, and the tokens of its own.

Advantages, masks and metrics are of the whole batch, so every rank needs a few numbers and bits of
each sample. The token ids and log-probabilities, nearly all of the bytes, are needed where the
sample is learned from. The driver makes the plan that the ranks make too, and cuts out each rank's
share without reading a token.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from learner.config import LearnerConfig
from learner.errors import LearnerError
from learner.plan.epoch import SampleSizes, epoch_seed, owners
from learner.trajectory import (
    ArrivedTrajectory,
    PackedGroup,
    Sampled,
    Tokens,
    TrajectoryGroup,
    unpack_columns,
)


class GroupFacts(NamedTuple):
    """What every rank is told of a group; the fields are those of `PackedGroup`."""

    sample_ids: tuple[int, ...]
    lengths: tuple[int, ...]
    prompt_tokens: int
    columns: bytes


class Share(NamedTuple):
    """The tokens that one rank learns from, as few arrays that are read where they lie."""

    samples: NDArray[np.int64]
    """Ids, group by group."""
    prompts: NDArray[np.int32]
    """The prompts of the groups that have a sample here, one after the other."""
    responses: NDArray[np.int32]
    """The responses of `samples`, one after the other."""
    logprobs: NDArray[np.float32]
    """By the engines, one for each token of `responses` [nats]."""


class Elsewhere(Sequence[int]):
    """Tokens that another rank holds: how many there are is known, which ones is not."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        """Number of tokens."""
        return self._count

    def __getitem__(self, _: object) -> NoReturn:
        """Raise: only their number is here."""
        raise LearnerError("a rank was to learn from a sample whose tokens it was not sent")


@dataclass(frozen=True)
class Batch:
    """A batch as one rank has it, in the order of the samples' ids.

    Raises:
        ValueError: the batch is empty, or a sample id occurs twice.
    """

    samples: tuple[Sampled, ...]
    """All of them; of those that other ranks learn from the tokens are `Elsewhere`."""
    groups: tuple[int, ...]
    """The number of each one's group, from 0."""
    highest_tokens: tuple[int, ...]
    """The largest token id of each, prompt included."""

    def __post_init__(self) -> None:
        if not self.samples:
            raise ValueError("an update needs at least one trajectory")
        for before, after in pairwise(self.samples):
            if before.sample_id == after.sample_id:
                raise ValueError(f"sample {after.sample_id} is in the batch twice")

    @property
    def sizes(self) -> SampleSizes:
        """Tokens of each sample."""
        return SampleSizes(
            self.groups,
            [len(t.prompt_ids) for t in self.samples],
            [len(t.response_ids) for t in self.samples],
        )


def whole_batch(groups: Sequence[TrajectoryGroup]) -> Batch:
    """All groups, whole: the batch of a rank that has every token."""
    return _in_order(
        (trajectory, number, max(trajectory.token_ids))
        for number, group in enumerate(groups)
        for trajectory in group.trajectories
    )


def split(
    groups: Sequence[PackedGroup], config: LearnerConfig, update: int, world_size: int
) -> tuple[list[GroupFacts], list[Share]]:
    """A batch for the ranks: what each is told, and the share of each rank.

    Args:
        groups: the batch.
        config: the learner's; it decides who learns from what.
        update: number of the update, from 0.
        world_size: number of ranks.
    """
    facts = [
        GroupFacts(group.sample_ids, group.lengths, len(group.prompt) // _INT, group.columns)
        for group in groups
    ]
    ranks = _ranks_of(facts, config, update, world_size)
    return facts, [_share(groups, ranks, rank) for rank in range(world_size)]


def read(facts: Sequence[GroupFacts], share: Share) -> Batch:
    """The batch that `split` was given, as the rank with this share has it. No token is copied."""
    samples: list[tuple[Sampled, int, int]] = []
    own = set(share.samples.tolist())
    prompt_at = response_at = 0
    for number, group in enumerate(facts):
        columns = unpack_columns(group.columns, group.lengths)
        prompt: Tokens = Elsewhere(group.prompt_tokens)
        if not own.isdisjoint(group.sample_ids):
            prompt = share.prompts[prompt_at : prompt_at + group.prompt_tokens]
            prompt_at += group.prompt_tokens
        for at, (sample_id, length) in enumerate(zip(group.sample_ids, group.lengths, strict=True)):
            ids: Tokens = Elsewhere(length)
            logprobs: Sequence[float] | NDArray[np.float32] = Elsewhere(length)
            is_own = sample_id in own
            if is_own:
                ids = share.responses[response_at : response_at + length]
                logprobs = share.logprobs[response_at : response_at + length]
                response_at += length
            reward, version, outcome, reason, parts = columns.facts[at]
            arrived = ArrivedTrajectory(
                sample_id=sample_id,
                problem_id=columns.problem_id,
                stage=columns.stage,
                prompt_ids=prompt if is_own else Elsewhere(group.prompt_tokens),
                response_ids=ids,
                rollout_logprobs=logprobs,
                executed_mask=columns.executed_masks[at],
                reward=reward,
                weight_version=version,
                outcome=outcome,
                finish_reason=reason,
                cut_mask=columns.cut_masks[at],
                reward_parts=parts,
                blamed_mask=columns.blamed_masks[at],
                agreed=columns.agreed[at],
            )
            samples.append((arrived, number, columns.highest_tokens[at]))
    return _in_order(samples)


_INT = np.dtype(np.int32).itemsize
_FLOAT = np.dtype(np.float32).itemsize


def _in_order(samples: Iterable[tuple[Sampled, int, int]]) -> Batch:
    ordered = sorted(samples, key=lambda entry: entry[0].sample_id)
    return Batch(
        tuple(sample for sample, _, _ in ordered),
        tuple(group for _, group, _ in ordered),
        tuple(highest for _, _, highest in ordered),
    )


def _ranks_of(
    facts: Sequence[GroupFacts], config: LearnerConfig, update: int, world_size: int
) -> dict[int, set[int]]:
    """The ranks that learn from each sample in any epoch, by its id."""
    samples = sorted(
        (sample_id, number, group.prompt_tokens, length)
        for number, group in enumerate(facts)
        for sample_id, length in zip(group.sample_ids, group.lengths, strict=True)
    )
    ids, groups, prompts, responses = zip(*samples, strict=True)
    sizes = SampleSizes(groups, prompts, responses)
    ranks: dict[int, set[int]] = {sample_id: set() for sample_id in ids}
    for epoch in range(config.epochs if world_size > 1 else 1):
        by_row = owners(
            sizes,
            config.minibatch_size,
            config.token_budget,
            world_size,
            epoch_seed(config.seed, update, epoch),
        )
        for sample_id, rank in zip(ids, by_row, strict=True):
            ranks[sample_id].add(rank)
    return ranks


def _share(groups: Sequence[PackedGroup], ranks: dict[int, set[int]], rank: int) -> Share:
    samples: list[int] = []
    prompts: list[bytes] = []
    responses: list[memoryview] = []
    logprobs: list[memoryview] = []
    for group in groups:
        ids, values = memoryview(group.responses), memoryview(group.logprobs)
        before = len(samples)
        for sample_id, length, end in zip(
            group.sample_ids, group.lengths, accumulate(group.lengths), strict=True
        ):
            if rank in ranks[sample_id]:
                samples.append(sample_id)
                responses.append(ids[_INT * (end - length) : _INT * end])
                logprobs.append(values[_FLOAT * (end - length) : _FLOAT * end])
        if len(samples) > before:
            prompts.append(group.prompt)
    return Share(
        np.array(samples, np.int64),
        np.frombuffer(b"".join(prompts), np.int32),
        np.frombuffer(b"".join(responses), np.int32),
        np.frombuffer(b"".join(logprobs), np.float32),
    )

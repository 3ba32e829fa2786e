"""A rank is sent the tokens it learns from, and no others; what it reads equals the batch."""

import random

import numpy as np
import pytest

from learner.config import LearnerConfig
from learner.errors import LearnerError
from learner.plan.epoch import epoch_seed, owners, plan_epoch
from learner.plan.shares import Batch, Elsewhere, read, split, whole_batch
from learner.trajectory import Trajectory, pack
from tests.learner.samples import grouped, random_trajectories, with_endings

CONFIG = LearnerConfig(minibatch_size=16, token_budget=120, seed=3)
LENGTHS = [(random.Random(n).randrange(3, 20), random.Random(-n).randrange(40)) for n in range(60)]
BATCH = with_endings(random_trajectories(7, LENGTHS, prompts=12))
GROUPS = grouped(reversed(BATCH))


def batches(config: LearnerConfig, world_size: int, update: int = 5) -> list[Batch]:
    facts, shares = split([pack(group) for group in GROUPS], config, update, world_size)
    assert len(shares) == world_size
    return [read(facts, share) for share in shares]


def planned(config: LearnerConfig, rank: int, world_size: int, update: int = 5) -> set[int]:
    """The places of the samples in the rank's micro-batches of every epoch."""
    sizes = whole_batch(GROUPS).sizes
    return {
        sample
        for epoch in range(config.epochs)
        for step in plan_epoch(
            sizes, config.minibatch_size, config.token_budget, rank, world_size,
            epoch_seed(config.seed, update, epoch),
        )
        for row in step.micro_batches
        for sample in row
    }  # fmt: skip


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("world_size", [1, 2, 4, 7])
def test_a_rank_has_the_tokens_that_its_plan_asks_for_and_no_others(
    world_size: int, epochs: int
) -> None:
    config = CONFIG.model_copy(update={"epochs": epochs})
    for rank, batch in enumerate(batches(config, world_size)):
        own = planned(config, rank, world_size)
        for place, (there, t) in enumerate(zip(batch.samples, BATCH, strict=True)):
            assert len(there.prompt_ids) == len(t.prompt_ids)
            assert len(there.response_ids) == len(there.rollout_logprobs) == len(t.response_ids)
            if place in own:
                assert there.token_ids.tolist() == list(t.token_ids)  # type: ignore[union-attr]
                expected = np.array(t.rollout_logprobs, np.float32)
                assert np.array_equal(there.rollout_logprobs, expected)
            else:
                assert isinstance(there.prompt_ids, Elsewhere)
                with pytest.raises(LearnerError, match="was not sent"):
                    np.asarray(there.response_ids)[0]


def test_every_rank_is_told_everything_else_of_every_sample() -> None:
    whole = whole_batch(GROUPS)
    names = ("sample_id", "stage", "reward", "weight_version", "outcome")
    for batch in batches(CONFIG, 3):
        assert (batch.groups, batch.highest_tokens) == (whole.groups, whole.highest_tokens)
        assert [batch.sizes.of(at) for at in range(len(BATCH))] == [len(t.token_ids) for t in BATCH]
        for there, t in zip(batch.samples, whole.samples, strict=True):
            assert [getattr(there, n) for n in names] == [getattr(t, n) for n in names]
            assert there.finish_reason == t.finish_reason
            assert tuple(there.executed_mask) == t.executed_mask
            assert tuple(there.cut_mask) == t.cut_mask
            assert there.blamed_mask is None


def test_the_shares_hold_the_batch_once_and_its_prompts_where_they_are_needed() -> None:
    _, [whole] = split([pack(group) for group in GROUPS], CONFIG, 0, 1)
    _, shares = split([pack(group) for group in GROUPS], CONFIG, 0, 4)
    assert sorted(np.concatenate([s.samples for s in shares])) == sorted(whole.samples)
    assert sum(len(s.responses) for s in shares) == len(whole.responses)
    assert max(len(s.responses) for s in shares) < 0.4 * len(whole.responses)
    assert all(len(s.prompts) <= len(whole.prompts) for s in shares)


def test_the_owner_of_a_sample_is_the_rank_whose_plan_has_it() -> None:
    ranks = owners(whole_batch(GROUPS).sizes, 16, 120, 4, epoch_seed(3, 5, 0))
    assert [{at for at, own in enumerate(ranks) if own == rank} for rank in range(4)] == [
        planned(CONFIG, rank, 4) for rank in range(4)
    ]


def test_an_empty_batch_and_a_sample_that_is_there_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one trajectory"):
        whole_batch([])
    first: Trajectory = BATCH[0]
    with pytest.raises(ValueError, match=f"sample {first.sample_id} is in the batch twice"):
        whole_batch(grouped([first]) * 2)

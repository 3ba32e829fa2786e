"""Plans: every sample once, equally many micro-batches on every rank, within the token budget."""

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.models.batch import token_batch
from learner.plan.epoch import idle_share, plan_epoch, plan_step

lengths_of = st.lists(st.integers(1, 50), min_size=1, max_size=30)
worlds = st.integers(1, 4)
CPU = torch.device("cpu")


@given(lengths=lengths_of, budget=st.integers(1, 120), world=worlds)
def test_a_step_holds_every_sample_once(lengths: list[int], budget: int, world: int) -> None:
    samples = list(range(len(lengths)))
    plans = [plan_step(samples, lengths, budget, rank, world) for rank in range(world)]
    dealt = [s for plan in plans for micro_batch in plan.micro_batches for s in micro_batch]
    assert sorted(dealt) == samples
    assert len({len(plan.micro_batches) for plan in plans}) == 1
    assert all(plan.micro_batches for plan in plans)
    for plan in plans:
        for micro_batch in plan.micro_batches:
            tokens = sum(lengths[s] for s in micro_batch)
            assert tokens <= budget or len(micro_batch) == 1


@given(lengths=lengths_of, size=st.integers(1, 12), world=worlds, budget=st.integers(1, 120))
def test_the_samples_of_a_step_depend_on_the_seed_alone(
    lengths: list[int], size: int, world: int, budget: int
) -> None:
    expected = [step.samples for step in plan_epoch(lengths, size, 60, 0, 1, "0/1/0")]
    actual = [step.samples for step in plan_epoch(lengths, size, budget, world - 1, world, "0/1/0")]
    assert actual == expected
    assert sorted(s for samples in expected for s in samples) == list(range(len(lengths)))
    assert len(expected) == math.ceil(len(lengths) / size)
    sizes = [len(samples) for samples in expected]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1, "no small last step"


def test_another_seed_gives_another_order() -> None:
    orders = {plan_epoch([1] * 20, 20, 60, 0, 1, f"0/{update}/0")[0].samples for update in range(3)}
    assert len(orders) == 3


@given(lengths=lengths_of, budget=st.integers(1, 120), world=worlds)
def test_ranks_differ_by_at_most_one_sample_in_tokens(
    lengths: list[int], budget: int, world: int
) -> None:
    plans = [plan_step(range(len(lengths)), lengths, budget, rank, world) for rank in range(world)]
    tokens = [[sum(lengths[s] for s in row) for row in plan.micro_batches] for plan in plans]
    for at_once in zip(*tokens, strict=True):
        assert max(at_once) - min(at_once) <= max(lengths)
    totals = [sum(rank) for rank in tokens]
    assert max(totals) - min(totals) <= max(lengths)
    span = sum(map(max, zip(*tokens, strict=True)))
    assert {plan.span for plan in plans} == {span}
    share = idle_share(plans[:1], lengths, world)
    assert share == pytest.approx(1 - sum(lengths) / (world * span))
    assert 0 <= share < 1
    assert world > 1 or share == 0


def test_a_step_has_the_fewest_micro_batches() -> None:
    generator = random.Random(0)
    lengths = [generator.randint(60, 400) for _ in range(64)]
    for world in (1, 2, 3):
        plans = [plan_step(range(64), lengths, 2048, rank, world) for rank in range(world)]
        assert len(plans[0].micro_batches) == math.ceil(sum(lengths) / 2048 / world)
        assert idle_share(plans[:1], lengths, world) < 0.01


def test_a_sample_over_the_budget_is_alone_in_its_micro_batch() -> None:
    lengths = [1000, 5, 3, 900, 4]
    (step,) = plan_epoch(lengths, 5, 12, 0, 1, "0/0/0")
    assert sorted(map(sorted, step.micro_batches)) == [[0], [1, 2, 4], [3]]


def test_ranks_take_turns_with_the_largest_micro_batch() -> None:
    plans = [plan_step(range(4), [9, 7, 5, 3], 9, rank, 2) for rank in (0, 1)]
    assert [plan.micro_batches for plan in plans] == [((0,), (3,)), ((1,), (2,))]
    assert plans[0].span == 9 + 5


def test_with_fewer_samples_than_ranks_a_micro_batch_is_empty() -> None:
    plans = [plan_step([1], [7, 9], 4, rank, 2).micro_batches for rank in (0, 1)]
    assert plans == [((1,),), ((),)]


def test_targets_and_the_states_that_predict_them() -> None:
    batch = token_batch([[5, 6, 7, 8], [1, 2], [3, 4, 9]], [2, 2, 1], CPU)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 1, 2, 3, 4, 9]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 0, 1, 0, 1, 2]]
    assert batch.bounds.tolist() == [0, 4, 6, 9]
    assert batch.longest == 4
    assert batch.targets.tolist() == [7, 8, 4, 9]
    assert batch.index.tolist() == [1, 2, 6, 7]
    assert batch.counts == (2, 0, 2)
    assert batch.index.dtype == batch.position_ids.dtype == torch.long
    assert batch.bounds.dtype == torch.int32


def test_an_empty_batch_holds_one_token_and_no_target() -> None:
    batch = token_batch([], [], CPU)
    assert batch.input_ids.shape == batch.position_ids.shape == (1, 1)
    assert batch.bounds.tolist() == [0, 1]
    assert batch.targets.shape == batch.index.shape == (0,)

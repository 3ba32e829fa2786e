"""Plans hold every sample once, the same number of micro-batches on every rank, and the budget."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.batch import plan_epoch, plan_step, token_batch

lengths_of = st.lists(st.integers(1, 50), min_size=1, max_size=30)
worlds = st.integers(1, 4)
CPU = torch.device("cpu")


@given(lengths=lengths_of, budget=st.integers(1, 120), world=worlds)
def test_a_step_deals_every_sample_once(lengths: list[int], budget: int, world: int) -> None:
    samples = list(range(len(lengths)))
    plans = [plan_step(samples, lengths, budget, rank, world) for rank in range(world)]
    dealt = [s for plan in plans for micro_batch in plan.micro_batches for s in micro_batch]
    assert sorted(dealt) == samples
    assert len({len(plan.micro_batches) for plan in plans}) == 1
    assert all(plan.micro_batches for plan in plans)
    for plan in plans:
        for micro_batch in plan.micro_batches:
            padded = len(micro_batch) * max((lengths[s] for s in micro_batch), default=0)
            assert padded <= budget or len(micro_batch) == 1


@given(lengths=lengths_of, size=st.integers(1, 12), world=worlds, budget=st.integers(1, 120))
def test_the_samples_of_a_step_depend_on_the_seed_alone(
    lengths: list[int], size: int, world: int, budget: int
) -> None:
    wanted = [step.samples for step in plan_epoch(lengths, size, 60, 0, 1, "0/1/0")]
    found = [step.samples for step in plan_epoch(lengths, size, budget, world - 1, world, "0/1/0")]
    assert found == wanted
    assert sorted(s for samples in wanted for s in samples) == list(range(len(lengths)))
    assert all(len(samples) == size for samples in wanted[:-1])


def test_another_seed_shuffles_otherwise() -> None:
    orders = {plan_epoch([1] * 20, 20, 60, 0, 1, f"0/{update}/0")[0].samples for update in range(3)}
    assert len(orders) == 3


def test_targets_and_the_states_that_predict_them() -> None:
    batch = token_batch([[5, 6, 7, 8], [1, 2], [3, 4, 9]], [2, 2, 1], CPU)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8], [1, 2, 0, 0], [3, 4, 9, 0]]
    assert batch.targets.tolist() == [7, 8, 4, 9]
    assert batch.index.tolist() == [1, 2, 8, 9]
    assert batch.counts == (2, 0, 2)


def test_an_empty_batch_holds_one_token_and_no_target() -> None:
    batch = token_batch([], [], CPU)
    assert batch.input_ids.shape == (1, 1)
    assert batch.targets.shape == batch.index.shape == (0,)

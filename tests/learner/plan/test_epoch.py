"""Plans: every sample once, equally many micro-batches on every rank, within the token budget."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.plan import epoch
from learner.plan.epoch import SampleSizes, Step, idle_share, plan_epoch, plan_step, unshared

lengths_of = st.lists(st.integers(1, 50), min_size=1, max_size=30)
worlds = st.integers(1, 4)


@given(lengths=lengths_of, budget=st.integers(1, 120), world=worlds)
def test_a_step_holds_every_sample_once(lengths: list[int], budget: int, world: int) -> None:
    samples = list(range(len(lengths)))
    plans = [plan_step(samples, unshared(lengths), budget, rank, world) for rank in range(world)]
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
    expected = [step.samples for step in plan_epoch(unshared(lengths), size, 60, 0, 1, "0/1/0")]
    actual = [
        step.samples
        for step in plan_epoch(unshared(lengths), size, budget, world - 1, world, "0/1/0")
    ]
    assert actual == expected
    assert sorted(s for samples in expected for s in samples) == list(range(len(lengths)))
    assert len(expected) == math.ceil(len(lengths) / size)
    sizes = [len(samples) for samples in expected]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1, "no small last step"


def test_another_seed_gives_another_order() -> None:
    orders = {
        plan_epoch(unshared([1] * 20), 20, 60, 0, 1, f"0/{update}/0")[0].samples
        for update in range(3)
    }
    assert len(orders) == 3


@given(lengths=lengths_of, budget=st.integers(1, 120), world=worlds)
def test_ranks_differ_by_at_most_one_sample_in_tokens(
    lengths: list[int], budget: int, world: int
) -> None:
    plans = [
        plan_step(range(len(lengths)), unshared(lengths), budget, rank, world)
        for rank in range(world)
    ]
    tokens = [[sum(lengths[s] for s in row) for row in plan.micro_batches] for plan in plans]
    for at_once in zip(*tokens, strict=True):
        assert max(at_once) - min(at_once) <= max(lengths)
    totals = [sum(rank) for rank in tokens]
    assert max(totals) - min(totals) <= max(lengths)
    span = sum(map(max, zip(*tokens, strict=True)))
    assert {plan.span for plan in plans} == {span}
    share = idle_share(plans[:1], world)
    assert share == pytest.approx(1 - sum(lengths) / (world * span))
    assert 0 <= share < 1
    assert world > 1 or share == 0


def test_a_step_has_the_fewest_micro_batches() -> None:
    generator = random.Random(0)
    lengths = [generator.randint(60, 400) for _ in range(64)]
    for world in (1, 2, 3):
        plans = [
            plan_step(range(64), unshared(lengths), 2048, rank, world) for rank in range(world)
        ]
        assert len(plans[0].micro_batches) == math.ceil(sum(lengths) / 2048 / world)
        assert idle_share(plans[:1], world) < 0.01


def test_a_sample_over_the_budget_is_alone_in_its_micro_batch() -> None:
    lengths = [1000, 5, 3, 900, 4]
    (step,) = plan_epoch(unshared(lengths), 5, 12, 0, 1, "0/0/0")
    assert sorted(map(sorted, step.micro_batches)) == [[0], [1, 2, 4], [3]]


def test_ranks_take_turns_with_the_largest_micro_batch() -> None:
    plans = [plan_step(range(4), unshared([9, 7, 5, 3]), 9, rank, 2) for rank in (0, 1)]
    assert [plan.micro_batches for plan in plans] == [((0,), (3,)), ((1,), (2,))]
    assert plans[0].span == 9 + 5


def test_with_fewer_samples_than_ranks_a_micro_batch_is_empty() -> None:
    plans = [plan_step([1], unshared([7, 9]), 4, rank, 2).micro_batches for rank in (0, 1)]
    assert plans == [((1,),), ((),)]


def random_sizes(seed: int, groups: int, samples: int, prompt: int, response: int) -> SampleSizes:
    """Groups of random lengths up to these, their samples in random order."""
    generator = random.Random(seed)
    numbers = [group for group in range(groups) for _ in range(samples)]
    generator.shuffle(numbers)
    prompts = [generator.randint(1, prompt) for _ in range(groups)]
    responses = [generator.randint(0, response) for _ in numbers]
    return SampleSizes(numbers, [prompts[number] for number in numbers], responses)


@given(
    seed=st.integers(0, 99),
    groups=st.integers(1, 6),
    samples=st.integers(1, 9),
    budget=st.integers(1, 200),
    world=worlds,
)
def test_groups_are_kept_together_within_the_budget(
    seed: int, groups: int, samples: int, budget: int, world: int
) -> None:
    sizes = random_sizes(seed, groups, samples, 60, 30)
    places = range(len(sizes))
    plans = [plan_step(places, sizes, budget, rank, world) for rank in range(world)]
    rows = [row for plan in plans for row in plan.micro_batches]
    assert sorted(place for row in rows for place in row) == list(places)
    assert len({len(plan.micro_batches) for plan in plans}) == 1
    for row in rows:
        assert sizes.tokens(row) <= budget or len(row) == 1
        numbers = [sizes.groups[place] for place in row]
        changes = sum(a != b for a, b in pairwise(numbers))
        assert changes == max(0, len(set(numbers)) - 1), "a group lies in one piece"
    at_once = zip(*(map(sizes.tokens, plan.micro_batches) for plan in plans), strict=True)
    assert {plan.span for plan in plans} == {sum(map(max, at_once))}
    assert {plan.tokens for plan in plans} == {sum(map(sizes.tokens, rows))}
    apart = unshared([sizes.of(place) for place in places])
    assert plans[0].span <= plan_step(places, apart, budget, 0, world).span


def test_every_prompt_is_computed_once_where_the_budget_allows() -> None:
    sizes = random_sizes(0, 8, 8, 200, 100)
    step = plan_step(range(64), sizes, 100_000, 0, 1)
    assert step.micro_batches == (step.micro_batches[0],)
    prompts = dict(zip(sizes.groups, sizes.prompts, strict=True))
    assert step.tokens == step.span == sum(prompts.values()) + sum(sizes.responses)


def test_groups_are_cut_where_ranks_would_wait() -> None:
    """Two groups and four ranks: halves on each."""
    sizes = SampleSizes([0] * 8 + [1] * 8, [10] * 16, [50] * 16)
    plans = [plan_step(range(16), sizes, 4096, rank, 4) for rank in range(4)]
    assert [[len(row) for row in plan.micro_batches] for plan in plans] == [[4]] * 4
    assert plans[0].span == 10 + 4 * 50
    assert idle_share(plans[:1], 4) == 0
    # With one rank nothing is gained by it.
    assert plan_step(range(16), sizes, 4096, 0, 1).span == 2 * 10 + 16 * 50


def test_a_large_plan_takes_little_time() -> None:
    sizes = random_sizes(1, 512, 8, 1000, 4000)
    step = plan_step(range(4096), sizes, 32_768, 0, 64)
    assert isinstance(step, Step)
    assert idle_share([step], 64) < 0.05


@pytest.mark.parametrize("share", [0.51, 0.34, 0.26])
def test_samples_that_fill_rows_badly_take_few_tries(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far more rows are needed than their tokens would fill."""
    tries = []
    balanced = epoch._balanced
    monkeypatch.setattr(epoch, "_balanced", lambda *given: tries.append(1) or balanced(*given))
    for world in (1, 8):
        tries.clear()
        sizes = unshared([int(share * 4000)] * 1200)
        step = plan_step(range(1200), sizes, 4000, 0, world)
        assert len(step.micro_batches) == math.ceil(1200 / int(1 / share) / world)
        assert len(tries) < 25


def test_a_division_that_cannot_be_better_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    divisions = []
    packed = epoch._packed
    monkeypatch.setattr(
        epoch, "_packed", lambda pieces, *given: divisions.append(1) or packed(pieces, *given)
    )
    plan_step(range(64), random_sizes(0, 8, 8, 200, 100), 4000, 0, 1)
    assert len(divisions) == 1

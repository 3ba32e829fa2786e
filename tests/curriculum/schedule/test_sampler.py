import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.config import CurriculumConfig
from curriculum.schedule.make import make_schedule
from curriculum.schedule.sampler import EpochSampler


@given(st.integers(1, 30), st.integers(0, 5), st.lists(st.integers(0, 40), max_size=8))
def test_every_index_comes_once_per_epoch(count, seed, sizes):
    sampler = EpochSampler(count, seed)
    drawn = [index for n in sizes for index in sampler.take(n)]
    assert len(drawn) == sum(sizes)
    assert sampler.epoch == len(drawn) // count
    for start in range(0, len(drawn) - count + 1, count):
        assert sorted(drawn[start : start + count]) == list(range(count))
    assert drawn == EpochSampler(count, seed).take(len(drawn))


@given(st.integers(1, 20), st.integers(0, 60), st.integers(0, 60))
def test_a_restored_sampler_continues_as_the_saved_one(count, before, after):
    sampler = EpochSampler(count, seed=1)
    sampler.take(before)
    state = json.loads(json.dumps(sampler.state_dict()))
    restored = EpochSampler(count, seed=2)
    restored.load_state_dict(state)
    assert restored.take(after) == sampler.take(after)


def test_epochs_and_seeds_differ_in_order():
    sampler = EpochSampler(50, seed=0)
    orders = [tuple(sampler.take(50)) for _ in range(3)] + [tuple(EpochSampler(50, 1).take(50))]
    assert Counter(orders).most_common(1)[0][1] == 1


def test_nothing_to_sample_from_is_refused():
    with pytest.raises(ValueError, match="nothing to sample"):
        EpochSampler(0, seed=0)


@pytest.mark.parametrize(("epoch", "position"), [(-1, 0), (0, 3), (0, -1)])
def test_an_impossible_state_is_refused(epoch, position):
    sampler = EpochSampler(3, seed=0)
    with pytest.raises(ValueError, match="over 3 problems"):
        sampler.load_state_dict({"seed": 0, "epoch": epoch, "position": position})


@given(st.integers(0, 5), st.integers(0, 40), st.integers(0, 40))
def test_a_weighted_sampler_resumes_exactly(seed, before, after):
    weights = [1.0, 2.5, 1.0, 4.0]
    sampler = EpochSampler(4, seed, weights)
    sampler.take(before)
    restored = EpochSampler(4, seed + 1, weights)
    restored.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert restored.take(after) == sampler.take(after)


def test_indices_come_in_proportion_to_their_weights():
    sampler = EpochSampler(3, 0, [0.5, 1.25, 1.0])
    drawn = Counter(sampler.take(11_000))
    assert drawn[1] / drawn[0] == pytest.approx(2.5, rel=0.02)
    assert drawn[2] / drawn[0] == pytest.approx(2, rel=0.01)
    for weights in ([1.0, 0.0, 1.0], [1.0]):
        with pytest.raises(ValueError, match="3 weights above 0"):
            EpochSampler(3, 0, weights)


def test_equal_weights_are_as_no_weights():
    assert EpochSampler(9, 3, [7.0] * 9).take(40) == EpochSampler(9, 3).take(40)


def test_a_schedule_samples_tiers_by_their_weights(make_problem):
    tiers = ("introductory", "competition")
    problems = [make_problem(i, difficulty=tiers[i % 2]) for i in range(6)]
    config = CurriculumConfig(tier_weights={"competition": 3})
    drawn = Counter(t.problem.difficulty for t in make_schedule(problems, config, 0).sample(1200))
    assert drawn == {"competition": 900, "introductory": 300}

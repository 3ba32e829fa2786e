"""Trajectories that cannot be learned from are refused."""

import pickle
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from learner.trajectory import Trajectory, TrajectoryGroup, pack, unpack
from tests.learner.samples import grouped, random_trajectories

GOOD = Trajectory(
    sample_id=7,
    problem_id="p",
    stage=0,
    prompt_ids=(1, 2),
    response_ids=(3, 4, 5),
    rollout_logprobs=(-1.0, -2.0, 0.0),
    executed_mask=(True,) * 3,
    reward=1.0,
    weight_version=0,
    outcome="passed",
    finish_reason="stop",
    cut_mask=(False, False, True),
)


def in_float32(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """With log-probabilities as an engine gives them."""
    return [
        replace(t, rollout_logprobs=tuple(float(np.float32(v)) for v in t.rollout_logprobs))
        for t in trajectories
    ]


def test_a_packed_group_comes_back_equal_and_is_small() -> None:
    empty = replace(
        GOOD, response_ids=(), rollout_logprobs=(), executed_mask=(), cut_mask=(), sample_id=8
    )
    parts = replace(
        GOOD, reward_parts={"outcome": 1.0, "length": -0.1}, rollout_logprobs=(-0.25,) * 3
    )
    groups = [
        TrajectoryGroup((GOOD, empty, parts, replace(GOOD, blamed_mask=(True, False, True)))),
        TrajectoryGroup((GOOD, replace(GOOD, sample_id=8, agreed=(1, 3)))),
        TrajectoryGroup((empty,)),
        *grouped(in_float32(random_trajectories(16))),
    ]
    for group in groups:
        again = unpack(pack(group))
        assert again == group
        assert all(type(token) is int for t in again.trajectories for token in t.response_ids)
    tokens = 4000
    long = replace(
        GOOD,
        response_ids=tuple(range(tokens)),
        rollout_logprobs=(-0.5,) * tokens,
        executed_mask=(True,) * tokens,
        cut_mask=(False,) * tokens,
    )
    assert len(pickle.dumps(pack(TrajectoryGroup((long,))), 5)) < 8.3 * tokens + 1500


def test_token_ids_are_prompt_and_response() -> None:
    assert GOOD.token_ids == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt_ids": ()}, "sample 7: the prompt holds no token"),
        ({"executed_mask": (True,)}, "sample 7: executed_mask has 1 entries for 3 response tokens"),
        ({"blamed_mask": (True,)}, "sample 7: blamed_mask has 1 entries for 3 response tokens"),
        ({"agreed": (1, 4)}, r"sample 7: agreed is \(1, 4\) of 3 response tokens"),
        ({"agreed": (2, 1)}, r"sample 7: agreed is \(2, 1\) of 3 response tokens"),
        ({"rollout_logprobs": ()}, "sample 7: rollout_logprobs has 0 entries for 3"),
        ({"rollout_logprobs": (0.0, float("nan"), 0.0)}, r"sample 7: rollout_logprobs\[1\] is nan"),
        ({"cut_mask": ()}, "sample 7: cut_mask has 0 entries for 3 response tokens"),
        ({"finish_reason": "tired"}, "sample 7: finish_reason is 'tired', not one of stop, length"),
        ({"reward": float("inf")}, "sample 7: the reward is inf"),
    ],
)
def test_an_inconsistent_trajectory_is_refused_by_its_sample_id(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(GOOD, **change)


def test_a_group_holds_the_samples_of_one_prompt() -> None:
    assert TrajectoryGroup((GOOD, replace(GOOD, sample_id=8))).trajectories[0] is GOOD
    other = replace(GOOD, sample_id=9, prompt_ids=(1, 3))
    with pytest.raises(ValueError, match="samples 7 and 9 are in one group but have different"):
        TrajectoryGroup((GOOD, other))
    with pytest.raises(ValueError, match="group is empty"):
        TrajectoryGroup(())

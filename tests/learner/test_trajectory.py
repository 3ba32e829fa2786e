"""Trajectories and rewards refuse what cannot be learned from."""

from dataclasses import replace

import pytest

from learner.config import RewardConfig
from learner.reward import reward
from learner.trajectory import Trajectory, TrajectoryGroup

GOOD = Trajectory(7, "p", 0, (1, 2), (3, 4, 5), (-1.0, -2.0, 0.0), (True,) * 3, 1.0, 0, "passed")


def test_token_ids_are_prompt_and_response() -> None:
    assert GOOD.token_ids == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt_ids": ()}, "sample 7: the prompt holds no token"),
        ({"executed_mask": (True,)}, "sample 7: executed_mask has 1 entries for 3 response tokens"),
        ({"rollout_logprobs": ()}, "sample 7: rollout_logprobs has 0 entries for 3"),
        ({"rollout_logprobs": (0.0, float("nan"), 0.0)}, r"sample 7: rollout_logprobs\[1\] is nan"),
        ({"reward": float("inf")}, "sample 7: the reward is inf"),
    ],
)
def test_a_broken_trajectory_names_its_sample(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(GOOD, **change)


def test_a_group_holds_the_samples_of_one_prompt() -> None:
    assert TrajectoryGroup((GOOD, replace(GOOD, sample_id=8))).trajectories[0] is GOOD
    other = replace(GOOD, sample_id=9, prompt_ids=(1, 3))
    with pytest.raises(ValueError, match="samples 7 and 9 are in one group but have different"):
        TrajectoryGroup((GOOD, other))
    with pytest.raises(ValueError, match="group is empty"):
        TrajectoryGroup(())


@pytest.mark.parametrize(
    ("outcome", "wanted"),
    [
        ("passed", 1.0),
        ("failed", -0.3),
        ("runtime_error", -0.6),
        ("timeout", -0.6),
        ("out_of_memory", -0.6),
        ("compile_error", -1.0),
    ],
)
def test_rewards_are_the_papers(outcome: str, wanted: float) -> None:
    assert reward(outcome, RewardConfig()) == wanted


def test_rewards_can_be_configured() -> None:
    assert reward("timeout", RewardConfig(timeout=-0.9)) == -0.9


@pytest.mark.parametrize("outcome", ["infra_error", "", "model_config"])
def test_an_outcome_without_a_reward_is_refused(outcome: str) -> None:
    with pytest.raises(ValueError, match=f"no reward for outcome '{outcome}'"):
        reward(outcome, RewardConfig())

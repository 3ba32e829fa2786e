"""The reward of each outcome."""

import pytest

from learner.config import RewardConfig
from learner.reward import reward


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("passed", 1.0),
        ("failed", -0.3),
        ("runtime_error", -0.6),
        ("timeout", -0.6),
        ("out_of_memory", -0.6),
        ("compile_error", -1.0),
    ],
)
def test_default_rewards_are_those_of_the_paper(outcome: str, expected: float) -> None:
    assert reward(outcome, RewardConfig()) == expected


def test_rewards_can_be_configured() -> None:
    assert reward("timeout", RewardConfig(timeout=-0.9)) == -0.9


@pytest.mark.parametrize("outcome", ["infra_error", "", "model_config"])
def test_an_outcome_without_a_reward_is_refused(outcome: str) -> None:
    with pytest.raises(ValueError, match=f"no reward for outcome '{outcome}'"):
        reward(outcome, RewardConfig())

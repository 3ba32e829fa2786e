"""The reward of each outcome."""

import pytest

from learner.config import RewardConfig
from learner.reward import outcome_reward, overlong_penalty


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
    assert outcome_reward(outcome, RewardConfig()) == expected


def test_rewards_can_be_configured() -> None:
    assert outcome_reward("timeout", RewardConfig(timeout=-0.9)) == -0.9


@pytest.mark.parametrize("outcome", ["infra_error", "", "model_config"])
def test_an_outcome_without_a_reward_is_refused(outcome: str) -> None:
    with pytest.raises(ValueError, match=f"no reward for outcome '{outcome}'"):
        outcome_reward(outcome, RewardConfig())


@pytest.mark.parametrize(
    ("tokens", "truncated", "penalty"),
    [
        (0, False, 0.0),
        (16384, False, 0.0),
        (18432, False, 0.5),
        (20480, False, 1.0),
        (300, True, 1.0),  # its prompt left no more room
    ],
)
def test_the_penalty_of_a_long_response_rises_in_the_last_fifth_of_the_limit(
    tokens: int, truncated: bool, penalty: float
) -> None:
    """DAPO's numbers: 16,384 tokens expected, and 4,096 more in which the penalty rises."""
    assert overlong_penalty(tokens, truncated, 20480, 0.2) == pytest.approx(penalty)

"""The reward function that a run names, found and checked before anything is loaded."""

from __future__ import annotations

from actors.rewards.function import RewardFunction, RewardFunctionError, load_reward_function
from deploy.errors import ConfigError
from learner.config import RewardConfig


def check_reward(config: RewardConfig) -> RewardFunction | None:
    """The function that `reward.function` names; None where it names none.

    Raises:
        ConfigError: it cannot be imported, or does not take problem, sample and verdict.
    """
    if config.function is None:
        return None
    try:
        return load_reward_function(config.function)
    except RewardFunctionError as error:
        raise ConfigError(str(error)) from error

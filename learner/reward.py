"""Reward of an outcome (StepCoder, section 3.1)."""

from learner.config import RewardConfig


def reward(outcome: str, config: RewardConfig) -> float:
    """Reward of one program's outcome.

    Raises:
        ValueError: `outcome` is unknown, or is "infra_error", the sandbox's fault.
    """
    rewarded = RewardConfig.model_fields
    if outcome not in rewarded:
        reason = (
            "an infrastructure fault says nothing about the program: drop the sample and count it"
            if outcome == "infra_error"
            else f"the outcomes with a reward are {', '.join(rewarded)}"
        )
        raise ValueError(f"no reward for outcome {str(outcome)!r}: {reason}")
    return float(getattr(config, outcome))

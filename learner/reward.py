"""Reward of an outcome (StepCoder, section 3.1), and the penalty of an overlong response."""

from dataclasses import dataclass, field

from learner.config import RewardConfig

REWARDED = ("passed", "failed", "runtime_error", "timeout", "out_of_memory", "compile_error")
"""The outcomes that have a reward."""


@dataclass(frozen=True)
class Reward:
    """The reward of one sample."""

    value: float
    """What is learned from."""
    parts: dict[str, float] = field(default_factory=dict[str, float])
    """What it consists of, by name, for the metrics."""


def outcome_reward(outcome: str, config: RewardConfig) -> float:
    """Reward of one program's outcome.

    Raises:
        ValueError: `outcome` is unknown, or is "infra_error", the sandbox's fault.
    """
    if outcome not in REWARDED:
        reason = (
            "an infrastructure fault says nothing about the program: drop the sample and count it"
            if outcome == "infra_error"
            else f"the outcomes with a reward are {', '.join(REWARDED)}"
        )
        raise ValueError(f"no reward for outcome {str(outcome)!r}: {reason}")
    return float(getattr(config, outcome))


def overlong_penalty(tokens: int, truncated: bool, limit: int, share: float) -> float:
    """Soft overlong punishment (DAPO, Yu et al., 2025, eq. 13), from 0 to 1: nothing up to the last
    `share` of the limit, then rising linearly; 1 for a response that was cut off.

    Args:
        tokens: of the response.
        truncated: whether it was cut off; its prompt may have left it less room than `limit`.
        limit: longest response [tokens].
        share: of the limit in which the penalty rises, above 0.
    """
    if truncated:
        return 1.0
    free = limit * (1 - share)
    return min(1.0, max(0.0, (tokens - free) / (limit - free)))

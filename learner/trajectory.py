"""Trajectories: one rollout as the learner needs it, and the rollouts of one prompt."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Trajectory:
    """A prompt, the tokens the policy generated after it, and what came of them.

    Raises:
        ValueError: the prompt is empty, a per-token field has another length than the response,
            or a number is not finite.
    """

    sample_id: int
    """Unique within the batch; the learner works in the order of these, not of arrival."""
    problem_id: str
    """The problem asked."""
    stage: int
    """Curriculum stage at which it was asked."""
    prompt_ids: tuple[int, ...]
    """Token ids of the prompt, at least one."""
    response_ids: tuple[int, ...]
    """Generated token ids, end-of-sequence included when it was reached; may be empty."""
    rollout_logprobs: tuple[float, ...]
    """Log-probability of each response token by the engine that sampled it, at the rollout
    temperature.
    """
    executed_mask: tuple[bool, ...]
    """True where the token was executed (`learner.mask.execution_mask`), one per response token."""
    reward: float
    """Terminal reward of the outcome."""
    weight_version: int
    """Version of the weights that sampled it."""
    outcome: str
    """The sandbox's outcome."""

    def __post_init__(self) -> None:
        if not self.prompt_ids:
            raise ValueError(f"sample {self.sample_id}: the prompt holds no token")
        for name in ("rollout_logprobs", "executed_mask"):
            found, wanted = len(getattr(self, name)), len(self.response_ids)
            if found != wanted:
                raise ValueError(
                    f"sample {self.sample_id}: {name} has {found} entries "
                    f"for {wanted} response tokens"
                )
        if not math.isfinite(self.reward):
            raise ValueError(f"sample {self.sample_id}: the reward is {self.reward}")
        for position, value in enumerate(self.rollout_logprobs):
            if not math.isfinite(value):
                raise ValueError(
                    f"sample {self.sample_id}: rollout_logprobs[{position}] is {value}"
                )

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Prompt and response together."""
        return (*self.prompt_ids, *self.response_ids)


@dataclass(frozen=True)
class TrajectoryGroup:
    """The trajectories of one prompt: what a group baseline (GRPO, RLOO) compares with each other.

    Raises:
        ValueError: the group is empty, or its trajectories have different prompts.
    """

    trajectories: tuple[Trajectory, ...]
    """At least one, all with the same `prompt_ids`."""

    def __post_init__(self) -> None:
        if not self.trajectories:
            raise ValueError("a trajectory group is empty")
        first = self.trajectories[0]
        for trajectory in self.trajectories:
            if trajectory.prompt_ids != first.prompt_ids:
                raise ValueError(
                    f"samples {first.sample_id} and {trajectory.sample_id} are in one group but "
                    "have different prompts"
                )

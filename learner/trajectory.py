"""Trajectories: what the learner needs of a rollout, and of all rollouts of one prompt."""

import math
from dataclasses import dataclass, field

FINISH_REASONS = ("stop", "length", "abort")
"""What can end a response."""


@dataclass(frozen=True)
class Trajectory:
    """A prompt, the tokens that the policy generated after it, and their outcome.

    Raises:
        ValueError: the prompt is empty, a per-token field has another length than the response,
            a number is not finite, or the finish reason is unknown.
    """

    sample_id: int
    """Unique within the batch, which the learner processes in the order of these."""
    problem_id: str
    """Id of the problem."""
    stage: int
    """Curriculum stage of the prompt."""
    prompt_ids: tuple[int, ...]
    """Token ids of the prompt, at least one."""
    response_ids: tuple[int, ...]
    """Generated token ids, with the end of sequence if it was reached; may be empty."""
    rollout_logprobs: tuple[float, ...]
    """Log-probability of each response token by the engine that sampled it, at the rollout
    temperature, in nats.
    """
    executed_mask: tuple[bool, ...]
    """True if a test executed the token (`learner.mask.execution_mask`), one per response token."""
    reward: float
    """Reward of the sample (`learner.reward.Reward`)."""
    weight_version: int
    """Version of the weights that sampled the response."""
    outcome: str
    """Outcome of the program in the sandbox, such as "passed"."""
    finish_reason: str
    """What ended the response: `stop` (the policy, or a stop string), `length` (the limit) or
    `abort` (the engine, for a reason of its own).
    """
    cut_mask: tuple[bool, ...]
    """True if the token's text was cut away behind the program before it ran
    (`learner.mask.cut_away_mask`), one per response token.
    """
    reward_parts: dict[str, float] = field(default_factory=dict[str, float])
    """What the reward consists of, by name."""
    blamed_mask: tuple[bool, ...] | None = None
    """True if the token is on a statement that carries the blame for what the program raised, or
    outside of all statements (`learner.mask.execution_mask` of `sandbox.judging.blame`), one per
    response token; None where the statements that raised are not known, or none did.
    """

    def __post_init__(self) -> None:
        if not self.prompt_ids:
            raise ValueError(f"sample {self.sample_id}: the prompt holds no token")
        for name in ("rollout_logprobs", "executed_mask", "cut_mask", "blamed_mask"):
            flags, tokens = getattr(self, name), len(self.response_ids)
            entries = tokens if flags is None else len(flags)
            if entries != tokens:
                raise ValueError(
                    f"sample {self.sample_id}: {name} has {entries} entries "
                    f"for {tokens} response tokens"
                )
        if self.finish_reason not in FINISH_REASONS:
            raise ValueError(
                f"sample {self.sample_id}: finish_reason is {self.finish_reason!r}, not one of "
                f"{', '.join(FINISH_REASONS)}"
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

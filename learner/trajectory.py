"""Trajectories: what the learner needs of a rollout, and of all rollouts of one prompt.

They travel to the learner packed, as arrays in one string of bytes: a process that only passes
groups on, as a driver does, neither reads nor builds their token lists.
"""

import math
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

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


def pack(group: TrajectoryGroup) -> bytes:
    """The group as bytes; `unpack` gives back an equal one."""
    members = group.trajectories
    first = members[0]
    lengths = [len(trajectory.response_ids) for trajectory in members]
    columns = (
        first.problem_id,
        first.stage,
        np.array(first.prompt_ids, np.int32),
        np.array(lengths, np.int32),
        np.fromiter(chain.from_iterable(t.response_ids for t in members), np.int32, sum(lengths)),
        np.fromiter(chain.from_iterable(t.rollout_logprobs for t in members), float, sum(lengths)),
        _bits(t.executed_mask for t in members),
        _bits(t.cut_mask for t in members),
        [
            (
                t.sample_id,
                t.reward,
                t.weight_version,
                t.outcome,
                t.finish_reason,
                t.reward_parts,
                None if t.blamed_mask is None else _bits([t.blamed_mask]),
            )
            for t in members
        ],
    )
    return pickle.dumps(columns, protocol=5)


def unpack(packed: bytes) -> TrajectoryGroup:
    """The group that `pack` was given."""
    problem_id, stage, prompt, lengths, response, logprobs, executed, cut, rows = pickle.loads(
        packed
    )
    prompt_ids, total = tuple(prompt.tolist()), len(response)
    per_token = (
        response.tolist(),
        logprobs.tolist(),
        _flags(executed, total),
        _flags(cut, total),
    )
    members: list[Trajectory] = []
    begin = 0
    for length, (sample_id, reward, version, outcome, reason, parts, blamed) in zip(
        lengths.tolist(), rows, strict=True
    ):
        ids, chosen, ran, left_out = (tuple(each[begin : begin + length]) for each in per_token)
        begin += length
        members.append(
            Trajectory(
                sample_id=sample_id,
                problem_id=problem_id,
                stage=stage,
                prompt_ids=prompt_ids,
                response_ids=ids,
                rollout_logprobs=chosen,
                executed_mask=ran,
                reward=reward,
                weight_version=version,
                outcome=outcome,
                finish_reason=reason,
                cut_mask=left_out,
                reward_parts=parts,
                blamed_mask=None if blamed is None else _flags(blamed, length),
            )
        )
    return TrajectoryGroup(tuple(members))


def _flags(bits: np.ndarray, count: int) -> tuple[bool, ...]:
    return tuple(np.unpackbits(bits, count=count).astype(bool).tolist())


def _bits(masks: Iterable[Sequence[bool]]) -> np.ndarray:
    return np.packbits(np.fromiter(chain.from_iterable(masks), bool))

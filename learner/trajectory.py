"""Trajectories: what the learner needs of a rollout, and of all rollouts of one prompt.

They travel packed, as arrays in strings of bytes: a process that passes groups on, as a driver
does, neither reads nor builds their token lists (`learner.plan.shares`).
"""

import math
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

_Kind = TypeVar("_Kind", bound=np.generic)

Tokens = Sequence[int] | NDArray[np.int32]
"""Token ids."""
Flags = Sequence[bool] | NDArray[np.bool_]
"""A mask, one flag for each token of a response."""

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
    agreed: tuple[int, int] | None = None
    """Bounds of the response tokens that a program which did not pass has in common with the
    beginning of the canonical solution (`curriculum.divergence`); None where they are not known.
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
        begin, end = self.agreed or (0, 0)
        if not 0 <= begin <= end <= len(self.response_ids):
            raise ValueError(
                f"sample {self.sample_id}: agreed is {self.agreed} "
                f"of {len(self.response_ids)} response tokens"
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


class ArrivedTrajectory(NamedTuple):
    """A trajectory out of arrays, checked where it was packed; the fields are `Trajectory`'s."""

    sample_id: int
    problem_id: str
    stage: int
    prompt_ids: Tokens
    response_ids: Tokens
    rollout_logprobs: Sequence[float] | NDArray[np.float32]
    executed_mask: Flags
    reward: float
    weight_version: int
    outcome: str
    finish_reason: str
    cut_mask: Flags
    reward_parts: dict[str, float]
    blamed_mask: Flags | None
    agreed: tuple[int, int] | None

    @property
    def token_ids(self) -> NDArray[np.int32]:
        """Prompt and response together."""
        return np.concatenate([self.prompt_ids, self.response_ids], dtype=np.int32)


Sampled = Trajectory | ArrivedTrajectory
"""What the learner reads of a sample."""


class PackedGroup(NamedTuple):
    """A `TrajectoryGroup` as it travels: tokens and log-probabilities can be cut out by sample
    without reading the rest."""

    sample_ids: tuple[int, ...]
    lengths: tuple[int, ...]
    """Tokens of each response."""
    prompt: bytes
    """int32 token ids."""
    responses: bytes
    """int32 token ids of one response after the other."""
    logprobs: bytes
    """float32, one for each token of `responses`: the precision in which engines and learner
    compute them."""
    columns: bytes
    """Everything else (`unpack_columns`), masks as bits."""


class Columns(NamedTuple):
    """What is known of each sample of a group without its tokens."""

    problem_id: str
    stage: int
    highest_tokens: list[int]
    """Largest token id of each sample, prompt included."""
    executed_masks: list[NDArray[np.bool_]]
    cut_masks: list[NDArray[np.bool_]]
    blamed_masks: list[NDArray[np.bool_] | None]
    agreed: list[tuple[int, int] | None]
    facts: list[tuple[float, int, str, str, dict[str, float]]]
    """Reward, weight version, outcome, finish reason and parts of the reward."""


def pack(group: TrajectoryGroup) -> PackedGroup:
    """The group as strings of bytes; `unpack` gives back an equal one, its log-probabilities
    rounded to float32.
    """
    members = group.trajectories
    first = members[0]
    lengths = tuple(len(trajectory.response_ids) for trajectory in members)
    total = sum(lengths)
    prompt = np.array(first.prompt_ids, np.int32)
    responses = np.fromiter(chain.from_iterable(t.response_ids for t in members), np.int32, total)
    logprobs = np.fromiter(
        chain.from_iterable(t.rollout_logprobs for t in members), np.float32, total
    )
    highest = int(prompt.max())
    columns = (
        first.problem_id,
        first.stage,
        [int(part.max(initial=highest)) for part in _split(responses, lengths)],
        _bits(t.executed_mask for t in members),
        _bits(t.cut_mask for t in members),
        [None if t.blamed_mask is None else _bits([t.blamed_mask]) for t in members],
        [t.agreed for t in members],
        [(t.reward, t.weight_version, t.outcome, t.finish_reason, t.reward_parts) for t in members],
    )
    return PackedGroup(
        sample_ids=tuple(trajectory.sample_id for trajectory in members),
        lengths=lengths,
        prompt=prompt.tobytes(),
        responses=responses.tobytes(),
        logprobs=logprobs.tobytes(),
        columns=pickle.dumps(columns, protocol=5),
    )


def unpack_columns(packed: bytes, lengths: Sequence[int]) -> Columns:
    """What `PackedGroup.columns` holds; the masks are views of few arrays."""
    problem_id, stage, highest, executed, cut, blamed, agreed, facts = pickle.loads(packed)
    return Columns(
        problem_id,
        stage,
        highest,
        _split(_flags(executed, sum(lengths)), lengths),
        _split(_flags(cut, sum(lengths)), lengths),
        [
            None if bits is None else _flags(bits, length)
            for bits, length in zip(blamed, lengths, strict=True)
        ],
        agreed,
        facts,
    )


def unpack(packed: PackedGroup) -> TrajectoryGroup:
    """The group that `pack` was given."""
    columns = unpack_columns(packed.columns, packed.lengths)
    prompt = tuple(np.frombuffer(packed.prompt, np.int32).tolist())
    members: list[Trajectory] = []
    for sample_id, ids, logprobs, executed, cut, blamed, agreed, facts in zip(
        packed.sample_ids,
        _split(np.frombuffer(packed.responses, np.int32), packed.lengths),
        _split(np.frombuffer(packed.logprobs, np.float32), packed.lengths),
        columns.executed_masks,
        columns.cut_masks,
        columns.blamed_masks,
        columns.agreed,
        columns.facts,
        strict=True,
    ):
        reward, version, outcome, reason, parts = facts
        members.append(
            Trajectory(
                sample_id=sample_id,
                problem_id=columns.problem_id,
                stage=columns.stage,
                prompt_ids=prompt,
                response_ids=tuple(ids.tolist()),
                rollout_logprobs=tuple(logprobs.tolist()),
                executed_mask=tuple(executed.tolist()),
                reward=reward,
                weight_version=version,
                outcome=outcome,
                finish_reason=reason,
                cut_mask=tuple(cut.tolist()),
                reward_parts=parts,
                blamed_mask=None if blamed is None else tuple(blamed.tolist()),
                agreed=agreed,
            )
        )
    return TrajectoryGroup(tuple(members))


def _split(values: NDArray[_Kind], lengths: Sequence[int]) -> list[NDArray[_Kind]]:
    """Views of consecutive parts of these lengths."""
    bounds = pairwise(accumulate(lengths, initial=0))
    return [values[begin:end] for begin, end in bounds]


def _flags(bits: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    return np.unpackbits(bits, count=count).view(np.bool_)


def _bits(masks: Iterable[Sequence[bool]]) -> NDArray[np.uint8]:
    return np.packbits(np.fromiter(chain.from_iterable(masks), bool))

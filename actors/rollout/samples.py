"""The units of a rollout: a request, its completion, the judged sample, and its trajectory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from curriculum.program import Program
from curriculum.prompt import Prompt
from curriculum.subtask import Subtask
from learner.config import RewardConfig
from learner.mask import execution_mask
from learner.reward import reward
from learner.trajectory import Trajectory, TrajectoryGroup
from sandbox import Outcome, Verdict

OUTCOMES = tuple(outcome.value for outcome in Outcome)


@dataclass(frozen=True)
class Request:
    """One completion to generate."""

    sample_id: int
    """Names the sample from here to its gradient."""
    prompt_ids: tuple[int, ...]
    """The prompt's token ids."""
    seed: int
    """Seed of this sample's own random stream."""
    max_tokens: int
    """Longest completion [tokens]."""
    temperature: float
    """Sampling temperature; 0 is greedy."""


@dataclass(frozen=True)
class Completion:
    """One finished completion."""

    sample_id: int
    """As in the request."""
    token_ids: tuple[int, ...]
    """Generated ids, the end-of-sequence token included where the policy wrote it."""
    logprobs: tuple[float, ...]
    """Log-probability of each generated id under the sampling distribution [nats]."""
    finish_reason: str
    """`stop` (the policy or a stop string ended it) or `length`."""
    weight_version: int
    """Version of the oldest weights that wrote any of it."""


@dataclass(frozen=True)
class Sample:
    """One completion with everything known about it."""

    sample_id: int
    """Unique within the run."""
    subtask: Subtask
    """What was asked."""
    prompt: Prompt
    """How it was asked."""
    completion: Completion
    """What the policy wrote."""
    program: Program
    """Given code and completion as one program."""
    text: str
    """The completion as text."""
    token_lengths: tuple[int, ...]
    """Bytes of `text` that each completion token adds (0 for special tokens)."""
    verdict: Verdict
    """What happened when it ran."""


def trajectory(sample: Sample, rewards: RewardConfig) -> Trajectory:
    """One training sample: its reward, and which of its tokens the tests executed (FGO)."""
    verdict, program = sample.verdict, sample.program
    mask = execution_mask(
        sample.token_lengths,
        program.completion_start,
        verdict.statements,
        program.source.encode(),
        completion_begin=program.begin,
        tampered=verdict.coverage_tampered,
    )
    return Trajectory(
        sample_id=sample.sample_id,
        problem_id=sample.subtask.problem.id,
        stage=sample.subtask.stage,
        prompt_ids=sample.prompt.ids,
        response_ids=sample.completion.token_ids,
        rollout_logprobs=sample.completion.logprobs,
        executed_mask=tuple(mask),
        reward=reward(verdict.outcome.value, rewards),
        weight_version=sample.completion.weight_version,
        outcome=verdict.outcome.value,
    )


def trajectory_groups(
    samples: Sequence[Sample], trajectories: Sequence[Trajectory]
) -> list[TrajectoryGroup]:
    """The trajectories of each visit to a subtask as one group."""
    visits: dict[int, list[Trajectory]] = {}
    for sample, made in zip(samples, trajectories, strict=True):
        visits.setdefault(sample.subtask.visit, []).append(made)
    return [TrajectoryGroup(tuple(visit)) for visit in visits.values()]


def outcome_mix(samples: Iterable[Sample]) -> dict[str, float]:
    """Share of each outcome."""
    counts = Counter(sample.verdict.outcome.value for sample in samples)
    total = max(1, counts.total())
    return {outcome: counts[outcome] / total for outcome in OUTCOMES}


def split_faults(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Judged samples, and those the sandbox could not judge; the latter are never trained on."""
    judged = [s for s in samples if s.verdict.outcome is not Outcome.infra_error]
    faults = [s for s in samples if s.verdict.outcome is Outcome.infra_error]
    return judged, faults

"""The units of a rollout, from request to trajectory.

Request -> Completion -> Sample (judged) -> RolloutGroup (one prompt's samples) -> TrajectoryGroup
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curriculum.divergence import first_divergence
from curriculum.problem import Problem
from curriculum.program import Program
from curriculum.prompt import Prompt
from curriculum.subtask import Subtask
from learner.mask import cut_away_mask, execution_mask, first_token_behind
from learner.reward import Reward
from learner.trajectory import Trajectory, TrajectoryGroup
from sandbox import Outcome, Verdict
from sandbox.judging.blame import blame

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
    top_p: float = 1.0
    """Probability mass that is sampled from; 1 in training (see `RolloutConfig.temperature`)."""

    @property
    def max_total_tokens(self) -> int:
        """Prompt and longest completion together [tokens]."""
        return len(self.prompt_ids) + self.max_tokens


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
    """`stop` (the policy or a stop string ended it), `length` (the limit), `abort` (the engine) or
    `refused`."""
    weight_version: int
    """Version of the oldest weights that wrote any of it."""
    refusal: str = ""
    """Why the engine refused the prompt, where it did; the completion is empty then."""
    seconds: float = 0.0
    """From the request to its last token, with the wait for a place in the engine's batch and for
    broadcasts [seconds]."""


@dataclass(frozen=True)
class Sample:
    """One completion of a prompt, run as a program and judged."""

    sample_id: int
    """Unique within the run."""
    completion: Completion
    """What the policy wrote."""
    program: Program
    """Prefix and completion as one program."""
    text: str
    """The completion as text."""
    token_lengths: tuple[int, ...]
    """Bytes of `text` that each completion token adds (0 for special tokens)."""
    verdict: Verdict
    """What happened when the program ran."""

    @property
    def judged(self) -> bool:
        """Whether it could be judged; if not, the sample is dropped, never trained on."""
        return self.verdict.outcome is not Outcome.infra_error


@dataclass(frozen=True)
class RolloutGroup:
    """One prompt and its samples, kept together from dispatch to advantage."""

    subtask: Subtask
    """What was asked."""
    prompt: Prompt
    """How it was asked."""
    samples: tuple[Sample, ...]
    """In the order of their ids."""

    @property
    def judged(self) -> tuple[Sample, ...]:
        """The samples that the sandbox judged; may be none."""
        return tuple(sample for sample in self.samples if sample.judged)

    @property
    def faults(self) -> tuple[Sample, ...]:
        """The samples that the sandbox could not judge, for a reason of its own."""
        return tuple(sample for sample in self.samples if not sample.judged)

    @property
    def passed(self) -> int:
        """Number of samples that passed."""
        return sum(sample.verdict.outcome is Outcome.passed for sample in self.samples)

    @property
    def weight_version(self) -> int:
        """Version of the oldest weights that wrote any of it."""
        return min(sample.completion.weight_version for sample in self.samples)


def trajectory_group(group: RolloutGroup, rewards: Mapping[int, Reward]) -> TrajectoryGroup | None:
    """The group's rewarded samples as the learner needs them; None where there is none.

    Args:
        group: judged.
        rewards: by sample id.
    """
    rewarded = (sample for sample in group.judged if sample.sample_id in rewards)
    trajectories = tuple(trajectory(group, s, rewards[s.sample_id]) for s in rewarded)
    return TrajectoryGroup(trajectories) if trajectories else None


def trajectory(group: RolloutGroup, sample: Sample, reward: Reward) -> Trajectory:
    """One judged sample of a group with its reward and what its masks are made of: which tokens
    ran, which carry the blame where the program raised, and where it left the canonical solution.
    """
    verdict, program = sample.verdict, sample.program
    lengths, source = program.kept_lengths(sample.token_lengths), program.source.encode()

    def tokens_of(statements: Sequence[tuple[int, int, bool]]) -> tuple[bool, ...]:
        mask = execution_mask(
            lengths,
            program.completion_start,
            statements,
            source,
            completion_begin=program.begin,
            tampered=verdict.coverage_tampered,
        )
        return tuple(mask)

    blamed = blame(program.source, verdict)
    reason = sample.completion.finish_reason
    cut = cut_away_mask(sample.token_lengths, program.end, stopped=reason == "stop")
    return Trajectory(
        sample_id=sample.sample_id,
        problem_id=group.subtask.problem.id,
        stage=group.subtask.stage,
        prompt_ids=group.prompt.ids,
        response_ids=sample.completion.token_ids,
        rollout_logprobs=sample.completion.logprobs,
        executed_mask=tokens_of(verdict.statements),
        reward=reward.value,
        weight_version=sample.completion.weight_version,
        outcome=verdict.outcome.value,
        finish_reason=reason,
        cut_mask=tuple(cut),
        reward_parts=reward.parts,
        blamed_mask=blamed
        and tokens_of(
            [
                (start, end, flag)
                for (start, end, _), flag in zip(verdict.statements, blamed, strict=True)
            ]
        ),
        agreed=_agreed(group.subtask.problem, sample, lengths),
    )


def _agreed(problem: Problem, sample: Sample, lengths: Sequence[int]) -> tuple[int, int] | None:
    """`Trajectory.agreed`; not known where the program passed, was not run, tampered with its
    coverage, or does not differ from the canonical solution."""
    verdict, program = sample.verdict, sample.program
    if verdict.outcome is Outcome.passed or verdict.coverage_tampered or not verdict.statements:
        return None
    offset = first_divergence(program.source, problem.preamble + problem.solution)
    if offset is None:
        return None
    start = program.completion_start - program.begin
    begin = first_token_behind(lengths, start, program.completion_start)
    return begin, max(begin, first_token_behind(lengths, start, offset))


def own_programs(group: RolloutGroup, longest_prompt: int) -> list[str]:
    """The group's programs that passed, without the preamble, for prefixes to be cut from.

    A prompt with a prefix of a program is no longer than its prompt and completion were: where
    these are longer than a prompt may be, the program is left out, and so is one that tampered with
    its coverage.

    Args:
        group: judged.
        longest_prompt: most tokens that a prompt may have.
    """
    preamble, room = group.subtask.problem.preamble, longest_prompt - len(group.prompt.ids)
    return [
        sample.program.source.removeprefix(preamble)
        for sample in group.judged
        if sample.verdict.outcome is Outcome.passed
        and not sample.verdict.coverage_tampered
        and len(sample.completion.token_ids) <= room
    ]

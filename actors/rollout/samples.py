"""From judged samples to what the learner trains on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from actors.rollout.collector import Sample
from learner.config import RewardConfig
from learner.mask import execution_mask
from learner.reward import reward
from learner.trajectory import Trajectory
from sandbox import Outcome

OUTCOMES = tuple(outcome.value for outcome in Outcome)


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
        sample_id=f"{sample.sample_id:09d}",
        problem_id=sample.subtask.problem.id,
        stage=sample.subtask.stage,
        prompt_ids=sample.prompt.ids,
        response_ids=sample.completion.token_ids,
        rollout_logprobs=sample.completion.logprobs,
        policy_mask=tuple(mask),
        reward=reward(verdict.outcome.value, rewards),
        weight_version=sample.completion.weight_version,
        outcome=verdict.outcome.value,
    )


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

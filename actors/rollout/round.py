"""Round: what the driver knows of the groups of one round of generation.

The tokens of a sample stay packed, and its texts are there only where they were asked for, so that
the driver handles a few numbers for each sample.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import NamedTuple

from actors.rollout.samples import OUTCOMES, RolloutGroup, Sample
from curriculum.prompt import Prompt
from curriculum.subtask import Subtask
from learner.reward import Reward
from learner.trajectory import PackedGroup
from sandbox import Outcome


class JudgedSample(NamedTuple):
    """The figures of one sample, once it was generated and judged."""

    sample_id: int
    """Unique within the run."""
    tokens: int
    """Length of its completion [tokens]."""
    finish_reason: str
    """As in `Completion`."""
    weight_version: int
    """As in `Completion`."""
    outcome: Outcome
    """Of its program."""
    run_seconds: float
    """Time that its program ran [seconds]."""
    reward: Reward | None
    """None for a sample that could not be judged, or rewarded."""
    error: str | None = None
    """Why it could not be judged, if so."""
    missing_library: str | None = None
    """As in `Verdict`."""
    checker_failed: bool = False
    """As in `Verdict`."""

    @classmethod
    def of(cls, sample: Sample, reward: Reward | None) -> JudgedSample:
        """The figures of a sample."""
        verdict, completion = sample.verdict, sample.completion
        return cls(
            sample_id=sample.sample_id,
            tokens=len(completion.token_ids),
            finish_reason=completion.finish_reason,
            weight_version=completion.weight_version,
            outcome=verdict.outcome,
            run_seconds=verdict.wall_seconds,
            reward=reward,
            error=None if sample.judged else verdict.error,
            missing_library=verdict.missing_library,
            checker_failed=verdict.checker_failed,
        )

    @property
    def judged(self) -> bool:
        """Whether it could be judged; if not, the sample is dropped, never trained on."""
        return self.outcome is not Outcome.infra_error


@dataclass(frozen=True)
class JudgedGroup:
    """One prompt and its samples, kept together from the request to the advantage."""

    subtask: Subtask
    """What was asked."""
    prompt_tokens: int
    """Length of the prompt [tokens]."""
    samples: tuple[JudgedSample, ...]
    """In the order of their ids."""
    trajectories: PackedGroup | None = None
    """The samples with a reward, as the learner needs them (`learner.trajectory.pack`); None where
    there is none, or none was asked for."""
    programs: tuple[str, ...] = ()
    """Programs that passed, for prefixes to be cut from (`own_programs`), where they were asked
    for."""
    packed_detail: bytes = b""
    """Prompt and samples with their texts, programs and verdicts, where they were asked for, as
    `read_detail` reads them. The driver passes them on unread."""

    @property
    def detail(self) -> RolloutGroup | None:
        """The samples with their texts, programs and verdicts, where they were asked for; they are
        read with each call."""
        if not self.packed_detail:
            return None
        return RolloutGroup(self.subtask, *read_detail(self.packed_detail))

    @cached_property
    def judged(self) -> tuple[JudgedSample, ...]:
        """The samples that the sandbox judged; may be none."""
        return tuple(sample for sample in self.samples if sample.judged)

    @cached_property
    def faults(self) -> tuple[JudgedSample, ...]:
        """The samples that the sandbox could not judge, for a reason of its own."""
        return tuple(sample for sample in self.samples if not sample.judged)

    @cached_property
    def rewarded(self) -> tuple[JudgedSample, ...]:
        """The samples with a reward."""
        return tuple(sample for sample in self.samples if sample.reward is not None)

    @cached_property
    def passed(self) -> int:
        """Number of samples that passed."""
        return sum(sample.outcome is Outcome.passed for sample in self.samples)

    @property
    def weight_version(self) -> int:
        """Version of the oldest weights that wrote any of it."""
        return min(sample.weight_version for sample in self.samples)

    @property
    def has_signal(self) -> bool:
        """Whether the rewards of its samples differ: else a group baseline leaves nothing."""
        return len({sample.reward.value for sample in self.samples if sample.reward}) > 1


def pack_detail(prompt: Prompt, samples: tuple[Sample, ...]) -> bytes:
    """Prompt and samples of a group as bytes."""
    return pickle.dumps((prompt, samples), protocol=5)


def read_detail(packed: bytes) -> tuple[Prompt, tuple[Sample, ...]]:
    """What `pack_detail` was given."""
    return pickle.loads(packed)


@dataclass(frozen=True)
class Round:
    """The groups of one round of generation, and where its time went."""

    groups: tuple[JudgedGroup, ...]
    """In the order of their subtasks, and so of their samples' ids."""
    rollout_s: float
    """To the last completion, from the request or from the last completion of the round before,
    whichever was later: what generation adds to the run [seconds]."""
    sandbox_s: float
    """From the last completion to the last verdict: what judging adds to the round [seconds]."""
    peak_judging: int
    """Largest number of completions that waited for their verdict at a time, the sum over the
    collectors of each one's largest."""
    outstanding_tokens: int = 0
    """Tokens of later rounds that each collector's engines had still to read and write when its
    part of this round ended."""

    @cached_property
    def samples(self) -> tuple[JudgedSample, ...]:
        """Every sample, in the order of their ids."""
        return tuple(sample for group in self.groups for sample in group.samples)

    @cached_property
    def judged(self) -> tuple[JudgedSample, ...]:
        """The samples that the sandbox judged."""
        return tuple(sample for group in self.groups for sample in group.judged)

    @cached_property
    def faults(self) -> tuple[JudgedSample, ...]:
        """The samples that the sandbox could not judge."""
        return tuple(sample for group in self.groups for sample in group.faults)

    def followed_by(self, other: Round) -> Round:
        """This round and one that was asked after it, as one."""
        return Round(
            self.groups + other.groups,
            self.rollout_s + other.rollout_s,
            self.sandbox_s + other.sandbox_s,
            max(self.peak_judging, other.peak_judging),
            other.outstanding_tokens,
        )


def missing_libraries(samples: Iterable[JudgedSample]) -> dict[str, int]:
    """The libraries that programs import and the sandbox lacks: by name, the programs that ended
    so, the most frequent first."""
    names = (sample.missing_library for sample in samples)
    return dict(Counter(name for name in names if name is not None).most_common())


def outcome_mix(samples: Iterable[JudgedSample]) -> dict[str, float]:
    """Share of each outcome."""
    counts = Counter(sample.outcome.value for sample in samples)
    total = max(1, counts.total())
    return {outcome: counts[outcome] / total for outcome in OUTCOMES}


def rollout_figures(finished: Round) -> dict[str, float]:
    """What generation and judging of a round cost, for the metrics."""
    samples = finished.samples
    tokens = sum(sample.tokens for sample in samples)
    return {
        "rollout/tokens": float(tokens),
        "rollout/tokens_per_s": tokens / max(finished.rollout_s, 1e-9),
        "rollout/cut_short": fmean([s.finish_reason == "length" for s in samples]),
        "sandbox/program_ms": 1e3 * fmean([s.run_seconds for s in samples]),
        "sandbox/missing_library": fmean([s.missing_library is not None for s in samples]),
        "sandbox/checker_failed": float(sum(sample.checker_failed for sample in samples)),
        "sandbox/peak_queue": float(finished.peak_judging),
    }

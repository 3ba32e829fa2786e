"""Scorer: from a round of judged samples to the trajectories that are trained on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from actors.rewards.function import RewardFunction, call_on_each
from actors.rollout.collector import Round
from actors.rollout.samples import RolloutGroup, Sample, trajectory_group
from learner.config import RewardConfig
from learner.reward import Reward, outcome_reward
from learner.trajectory import TrajectoryGroup
from sandbox import TestOutcome

_OF_FORM = frozenset({"reasoning", "fence"})
"""What may be cut away from a response that has the asked form."""


@dataclass(frozen=True)
class ScoredRound:
    """A round, and what of it can be trained on."""

    round: Round
    """Every sample, judged or not."""
    groups: tuple[tuple[RolloutGroup, TrajectoryGroup], ...]
    """The groups with a rewarded sample, with the trajectories of all of these."""
    rewards: Mapping[int, Reward]
    """By sample id, of every sample that has one."""
    failed: tuple[int, ...] = ()
    """Ids of the samples that the user's function failed on; they have no reward."""
    seconds: float = 0.0
    """Time that the rewards took."""

    def followed_by(self, other: ScoredRound) -> ScoredRound:
        """This round and one that was asked after it, as one."""
        return ScoredRound(
            self.round.followed_by(other.round),
            self.groups + other.groups,
            {**self.rewards, **other.rewards},
            self.failed + other.failed,
            self.seconds + other.seconds,
        )


@dataclass
class Scorer:
    """Rewards judged samples: of the outcome, the shipped terms, and the user's function."""

    config: RewardConfig
    longest: int
    """Longest response [tokens]."""
    function: RewardFunction | None = None
    """What `config.function` names."""

    async def score(self, finished: Round) -> ScoredRound:
        """Reward every judged sample, once.

        Raises:
            RewardFunctionError: the user's function failed, and `function_errors` is `stop`, or it
                took too long.
        """
        started = time.monotonic()
        rewards = {
            sample.sample_id: shipped_reward(sample, self.config, self.longest)
            for sample in finished.judged
        }
        failed = await self._add_function(finished, rewards) if self.function else []
        pairs = ((group, trajectory_group(group, rewards)) for group in finished.groups)
        groups = tuple((group, made) for group, made in pairs if made is not None)
        seconds = time.monotonic() - started
        return ScoredRound(finished, groups, rewards, tuple(failed), seconds)

    async def _add_function(self, finished: Round, rewards: dict[int, Reward]) -> list[int]:
        """Add the function's rewards; returns the samples that it failed on, which have none."""
        name, config = self.config.function, self.config
        assert self.function is not None
        assert name is not None
        work = [
            (group.subtask.problem, sample) for group in finished.groups for sample in group.judged
        ]
        failed: list[int] = []
        results = call_on_each(name, self.function, work, config.function_timeout_s)
        samples = iter(work)
        async for result in results:
            sample_id = next(samples)[1].sample_id
            if isinstance(result, Reward):
                rewards[sample_id] = _with_function(rewards[sample_id], result)
            elif config.function_errors == "stop":
                result.add_note("reward.function_errors drop would drop and count such samples")
                raise result
            else:
                del rewards[sample_id]
                failed.append(sample_id)
        return failed


def shipped_reward(sample: Sample, config: RewardConfig, longest: int) -> Reward:
    """The reward of a sample without the user's function.

    Args:
        sample: judged.
        config: outcomes and weights.
        longest: longest response [tokens].

    Raises:
        ValueError: the sandbox could not judge the sample; there is no reward for that.
    """
    verdict, completion = sample.verdict, sample.completion
    parts = {"outcome": outcome_reward(verdict.outcome.value, config)}
    if config.tests_passed:
        passed = sum(test.outcome is TestOutcome.passed for test in verdict.tests)
        parts["tests_passed"] = config.tests_passed * passed / max(1, len(verdict.tests))
    if config.length:
        parts["length"] = config.length * len(completion.token_ids) / longest
    if config.format:
        of_form = completion.finish_reason == "stop" and all(
            cut.rule in _OF_FORM for cut in sample.program.cuts
        )
        parts["format"] = config.format * of_form
    return Reward(sum(parts.values()), parts)


def _with_function(shipped: Reward, own: Reward) -> Reward:
    named = {f"function/{name}": value for name, value in own.parts.items()}
    return Reward(shipped.value + own.value, shipped.parts | {"function": own.value} | named)

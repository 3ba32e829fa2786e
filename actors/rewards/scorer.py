"""Scorer: adds the rewards of the user's function to a round of judged samples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from actors.rewards.function import RewardFunction, call_on_each
from actors.rewards.shipped import shipped_reward
from actors.rollout.round import JudgedGroup, Round
from actors.rollout.samples import RolloutGroup, trajectory_group
from learner.config import RewardConfig
from learner.reward import Reward
from learner.trajectory import pack


@dataclass(frozen=True)
class ScoredRound:
    """A round whose samples have their rewards."""

    round: Round
    """Every sample, judged or not."""
    failed: tuple[int, ...] = ()
    """Ids of the samples that the user's function failed on; they have no reward."""
    seconds: float = 0.0
    """Time that the user's function took."""

    @property
    def groups(self) -> tuple[JudgedGroup, ...]:
        """The groups with a rewarded sample: what can be trained on."""
        return tuple(group for group in self.round.groups if group.trajectories)

    def followed_by(self, other: ScoredRound) -> ScoredRound:
        """This round and one that was asked after it, as one."""
        return ScoredRound(
            self.round.followed_by(other.round),
            self.failed + other.failed,
            self.seconds + other.seconds,
        )


@dataclass
class Scorer:
    """Rewards samples by the user's function, where there is one.

    Collectors give every judged sample its shipped reward. The user's function is called here, in
    one place: it is importable where the run was started, and may keep a state of its own. It needs
    the samples' texts, so the rounds that it scores are asked for with every detail.
    """

    config: RewardConfig
    longest: int
    """Longest response [tokens]."""
    function: RewardFunction | None = None
    """What `config.function` names."""

    async def score(self, finished: Round) -> ScoredRound:
        """The round with all rewards.

        Raises:
            RewardFunctionError: the user's function failed, and `function_errors` is `stop`, or it
                took too long.
        """
        if self.function is None:
            return ScoredRound(finished)
        started = time.monotonic()
        details = await asyncio.to_thread(lambda: [group.detail for group in finished.groups])
        groups = [detail for detail in details if detail is not None]
        rewards = await asyncio.to_thread(self._shipped, groups)
        failed = await self._add_function(groups, rewards)
        scored = await asyncio.to_thread(_rewarded, finished.groups, details, rewards)
        seconds = time.monotonic() - started
        return ScoredRound(replace(finished, groups=scored), tuple(failed), seconds)

    def _shipped(self, groups: Sequence[RolloutGroup]) -> dict[int, Reward]:
        return {
            sample.sample_id: shipped_reward(sample, self.config, self.longest)
            for group in groups
            for sample in group.judged
        }

    async def _add_function(
        self, groups: Sequence[RolloutGroup], rewards: dict[int, Reward]
    ) -> list[int]:
        """Add the function's rewards; returns the samples that it failed on, which have none."""
        name, config = self.config.function, self.config
        assert self.function is not None
        assert name is not None
        work = [(group.subtask.problem, sample) for group in groups for sample in group.judged]
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


def _rewarded(
    groups: Sequence[JudgedGroup],
    details: Sequence[RolloutGroup | None],
    rewards: dict[int, Reward],
) -> tuple[JudgedGroup, ...]:
    """The groups with these rewards, their trajectories packed."""
    scored: list[JudgedGroup] = []
    for group, detail in zip(groups, details, strict=True):
        made = trajectory_group(detail, rewards) if detail else None
        samples = tuple(s._replace(reward=rewards.get(s.sample_id)) for s in group.samples)
        scored.append(replace(group, samples=samples, trajectories=pack(made) if made else None))
    return tuple(scored)


def _with_function(shipped: Reward, own: Reward) -> Reward:
    named = {f"function/{name}": value for name, value in own.parts.items()}
    return Reward(shipped.value + own.value, shipped.parts | {"function": own.value} | named)

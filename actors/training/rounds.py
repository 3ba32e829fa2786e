"""Rounds: the rounds of generation under way, and when the next one may start."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.collectors.group import CollectorGroup
from actors.config import LoopConfig
from actors.recording.rollout_log import RolloutLog
from actors.rewards.scorer import ScoredRound, Scorer
from actors.rollout.ledger import Ledger
from actors.training.state import TrainerState
from actors.training.step_report import SAMPLED_GROUPS
from curriculum.schedule.base import Schedule
from curriculum.subtask import Subtask


@dataclass
class Rounds:
    """Asks the schedule, and generates, judges and rewards what it says, a round for each step.

    Example:
        scored = await rounds.next(state, ledger)   # the round of the step after `state.step`
    """

    loop: LoopConfig
    schedule: Schedule
    collectors: CollectorGroup
    scorer: Scorer
    rollouts: RolloutLog
    samples_per_prompt: int
    _under_way: deque[asyncio.Task[ScoredRound]] = field(default_factory=deque)
    """Oldest first; the next step trains on the first."""

    async def next(self, state: TrainerState, ledger: Ledger) -> ScoredRound:
        """The round of the next step, once all its samples are rewarded.

        Args:
            state: its step is the last one done; the ids of new samples are drawn from it.
            ledger: where every sample is opened.

        Raises:
            TimeoutError: the round took longer than `loop.step_timeout_s`.
            RunFailed: a part failed for good.
        """
        self._start(state, ledger)
        scored = await self._under_way[0]
        self._under_way.popleft()
        return scored

    async def cancel(self) -> None:
        """End every round under way."""
        for work in self._under_way:
            work.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()

    def _start(self, state: TrainerState, ledger: Ledger) -> None:
        """Start every round that may be under way now.

        The capacity rule: a round starts when at most `max_staleness` updates lie between the
        weights it begins with and the step that trains on it, so that no sample is too old. No
        round starts before a checkpoint or an evaluation that it would outlast: there, no sample is
        under way.
        """
        loop = self.loop
        later = range(state.step + 1, loop.steps + 1)
        pause = next(step for step in later if loop.saves_at(step) or loop.evaluates_at(step))
        end = min(state.step + loop.max_staleness + 1, pause)
        for done in range(state.step + len(self._under_way), end):
            run_share = done / loop.steps
            subtasks = self.schedule.sample(loop.prompts_per_step, run_share)
            ids = self._new_ids(len(subtasks), state)
            ledger.asked(ids)
            # A round may have to wait for those started before it.
            deadline_s = loop.step_timeout_s * (1 + len(self._under_way))
            work = self._collect(subtasks, run_share, ids.start, state, ledger, deadline_s)
            self._under_way.append(asyncio.create_task(work))

    async def _collect(
        self,
        subtasks: Sequence[Subtask],
        run_share: float,
        first: int,
        state: TrainerState,
        ledger: Ledger,
        deadline_s: float,
    ) -> ScoredRound:
        """One round of generation, and the further ones of `loop.resample_rounds`, rewarded."""
        started = time.monotonic()

        async def collect(left_s: float) -> ScoredRound:
            # The user's function reads every sample, and the trajectories need its rewards.
            own = self.scorer.function is not None
            made = await self.collectors.collect(
                subtasks,
                self.samples_per_prompt,
                first,
                left_s,
                ledger,
                trajectories=not own,
                details=range(len(subtasks)) if own else self._read(subtasks),
                programs=self.schedule.adopts_programs,
            )
            return await self.scorer.score(made)

        scored = await collect(deadline_s)
        for _ in range(self.loop.resample_rounds):
            informative = sum(group.has_signal for group in scored.groups)
            missing = self.loop.prompts_per_step - informative
            if missing <= 0:
                break
            subtasks = self.schedule.sample(missing, run_share)
            ids = self._new_ids(len(subtasks), state)
            ledger.asked_again(ids)
            first = ids.start
            further = await collect(max(0.0, deadline_s - (time.monotonic() - started)))
            scored = scored.followed_by(further)
        return scored

    def _read(self, subtasks: Sequence[Subtask]) -> set[int]:
        """Places of the subtasks whose samples' texts are read: recorded, or shown by sinks."""
        recorded = self.rollouts.places([subtask.problem.id for subtask in subtasks])
        return {*recorded, *range(SAMPLED_GROUPS)}

    def _new_ids(self, subtasks: int, state: TrainerState) -> range:
        first = state.next_sample
        state.next_sample += subtasks * self.samples_per_prompt
        return range(first, state.next_sample)

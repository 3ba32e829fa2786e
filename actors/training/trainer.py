"""Trainer: the loop of StepCoder, on real actors.

    sample subtasks -> generate -> judge each completion as it ends -> observe -> PPO -> broadcast

With `loop.max_staleness: 0` it is strictly on-policy: every sample is written by the weights it
trains. From 1 on, the fleet generates the next rounds while the learner learns.

Rollout engines, collectors and sandboxes that die are replaced by `RolloutFleet`, `CollectorGroup`
and `SandboxPool`. When the learner dies, it is started again here, and the run returns to its last
checkpoint.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from actors.collectors.group import CollectorGroup
from actors.config import LoopConfig
from actors.errors import ActorLost, RunFailed
from actors.learners.checkpoint_writer import CheckpointWriter
from actors.learners.group import LearnerGroup
from actors.recording.rollout_file import truncate_rollouts
from actors.recording.rollout_log import RolloutLog
from actors.rewards.scorer import ScoredRound, Scorer
from actors.rollout.fleet import RolloutFleet
from actors.rollout.ledger import Ledger
from actors.rollout.round import JudgedGroup, Round
from actors.runs.folder import RunFolder, checkpoint_step
from actors.runs.metrics import MetricsLog
from actors.runs.store.uploads import Uploads
from actors.sandboxes.pool import SandboxPool
from actors.training.console import step_line
from actors.training.evaluate import Evaluation
from actors.training.evaluations import Evaluations
from actors.training.rounds import Rounds
from actors.training.stage_log import StageLog
from actors.training.state import TrainerState
from actors.training.step_report import StepReport
from actors.training.weight_parity import WeightParityCheck
from actors.training.weight_sync import WeightSync
from curriculum.problem import Problem
from curriculum.schedule.base import Schedule

logger = logging.getLogger(__name__)


@dataclass
class Trainer:
    """Runs the loop from the state's step to the last.

    Example:
        trainer = Trainer(...)
        await trainer.restore(checkpoint)   # only when resuming
        evaluation = await trainer.run()
    """

    loop: LoopConfig
    scorer: Scorer
    samples_per_prompt: int
    schedule: Schedule
    suites: Mapping[str, Sequence[Problem]]
    """What an evaluation asks, by name; `heldout` first."""
    collectors: CollectorGroup
    fleet: RolloutFleet
    pool: SandboxPool
    learner: LearnerGroup
    sync: WeightSync
    parity: WeightParityCheck
    folder: RunFolder
    log: MetricsLog
    rollouts: RolloutLog
    uploads: Uploads | None = None
    """Copies the run's folder to an object store, if it goes to one."""
    state: TrainerState = field(default_factory=TrainerState)
    ledger: Ledger = field(default_factory=Ledger)
    learner_restarts: int = 0
    """Times that this process started the learner again."""
    _began: float = 0.0
    _earlier_s: float = 0.0
    """Wall time of the processes before this one [seconds]."""
    _earlier_restarts: dict[str, int] = field(default_factory=dict)
    _first_content: str | None = None
    """What the first checkpoint holds of state and schedule: the run returns to it, too, where the
    learner is lost before that is whole."""

    def __post_init__(self) -> None:
        self._rounds = Rounds(
            self.loop,
            self.schedule,
            self.collectors,
            self.scorer,
            self.rollouts,
            self.samples_per_prompt,
        )
        self._checkpoints = CheckpointWriter(self.learner, self.folder, self.loop, self.uploads)
        self._stages = StageLog(self.folder, self.schedule)
        self._evaluations = Evaluations(
            self.suites, self.collectors, self.loop, self.folder, self.log
        )

    async def run(self) -> dict[str, Evaluation]:
        """Train from the current step to the last; returns the evaluation after it, by suite.

        Raises:
            TimeoutError: a stage missed its deadline; the message names it.
            RunFailed: a part failed for good, or an engine does not hold the weights it was sent.
        """
        self._began, self._earlier_s = time.monotonic(), self.state.total_s
        self._earlier_restarts = self.state.restarts
        lost: ActorLost | None = None
        returns: list[int] = []
        try:
            while True:
                try:
                    if lost is not None:
                        await self._return_to_checkpoint(lost, returns)
                    return await self._train()
                except ActorLost as error:
                    lost = error
        except asyncio.CancelledError:
            await self._checkpoints.abandon()
            raise
        except BaseException:
            await self._checkpoints.conclude()
            raise
        finally:
            await self._rounds.cancel()
            await self.rollouts.close()

    async def _train(self) -> dict[str, Evaluation]:
        self.state.starts += 1
        self._stages.begin()
        await self._broadcast(verify=True)
        if self.state.before is None:
            before = await self._evaluations.run("before RL", self.state)
            self.state.before = {suite: made.summary() for suite, made in before.items()}
        elif self._evaluations.lacks(self.state.step):
            # A checkpoint comes before the evaluation of its step.
            await self._evaluations.run(f"step {self.state.step}", self.state)
        if self.folder.latest() is None:
            # A learner that dies in the first steps returns to this one.
            await self._checkpoint(first=True)
        while self.state.step < self.loop.steps:
            report = await self._step()
            stored = self.uploads.figures() if self.uploads else {}
            self.log.write(report.step, report.metrics() | stored, report.counts)
            self._stages.write(report.step, report.round.groups)
            done = {"progress": ("train", report.step, self.loop.steps)}
            logger.info(step_line(report, self.loop.steps), extra=done)
            if self.loop.saves_at(report.step):
                self.log.write_samples(report.step, report.sample_rows())
                await self._checkpoint()
            if self.loop.evaluates_at(report.step):
                await self._evaluations.run(f"step {report.step}", self.state)
        await self.learner.save_pretrained(self.folder.policy)
        self.log.add_policy()
        await self._checkpoints.finish()
        await self.rollouts.flush()
        after = await self._evaluations.run("after RL", self.state)
        self._count_time()
        return after

    async def _step(self) -> StepReport:
        """One RL step."""
        state, started, processor_s = self.state, time.monotonic(), time.process_time()
        scored = await self._rounds.next(state, self.ledger)
        finished = scored.round
        wait_s = time.monotonic() - started
        await self._checkpoints.check()

        staleness = self._staleness(finished)
        self._observe(finished)
        trained = self._trained(scored)
        learn_started = time.monotonic()
        await self.fleet.sleep()
        recorded = self.rollouts.choose(finished.groups)
        figures, values = await self.learner.update(
            [group.trajectories for group in trained if group.trajectories],
            record=[sample.sample_id for group in recorded for sample in group.samples],
        )
        learn_s = time.monotonic() - learn_started

        learned = [sample for group in trained for sample in group.rewarded]
        learned_from = {sample.sample_id for sample in learned}
        dropped = {fault.sample_id: fault.outcome.value for fault in finished.faults}
        dropped |= dict.fromkeys(scored.failed, "reward_error")
        for sample in finished.judged:
            if sample.sample_id not in learned_from:
                dropped.setdefault(sample.sample_id, "no_signal")
        counts = self.ledger.close(learned_from, dropped)
        state.step += 1
        broadcast_s = await self._broadcast(verify=self.loop.verifies_at(state.step))
        await self.rollouts.write(state.step, recorded, values)
        total_s = time.monotonic() - started
        processor = {"driver": (time.process_time() - processor_s) / total_s}
        if (busiest := self.collectors.busiest()) is not None:
            processor["collector"] = busiest
        report = StepReport(
            step=state.step,
            round=finished,
            trained=learned,
            reward_s=scored.seconds,
            staleness=staleness,
            curriculum=self.schedule.metrics(),
            learner=figures,
            counts=counts,
            restarts=self.restarts(),
            processor=processor,
            wait_s=wait_s,
            learn_s=learn_s,
            broadcast_s=broadcast_s,
            total_s=total_s,
            weight_version=state.weight_version,
            weight_bytes=self.sync.bytes,
        )
        state.add_seconds(report.seconds)
        return report

    def _staleness(self, finished: Round) -> list[int]:
        """Updates between the weights that wrote each judged sample and the fleet's.

        Raises:
            RunFailed: the sandbox judged no sample, or a sample is older than allowed.
        """
        step, judged = self.state.step + 1, finished.judged
        if not judged:
            raise RunFailed(
                f"step {step}: the sandbox could judge none of {len(finished.faults)} programs; "
                f"the first error: {finished.faults[0].error}"
            )
        staleness = [self.state.weight_version - s.weight_version for s in judged]
        if max(staleness) > self.loop.max_staleness:
            raise RunFailed(
                f"step {step}: a sample is {max(staleness)} updates old, and "
                f"loop.max_staleness is {self.loop.max_staleness}"
            )
        return staleness

    def _observe(self, finished: Round) -> None:
        """Report every group to the schedule, also one of which no sample could be judged."""
        for group in finished.groups:
            self.schedule.observe(
                group.subtask,
                passed=group.passed,
                attempts=len(group.judged),
                weight_version=group.weight_version,
                programs=group.programs,
            )

    def _trained(self, scored: ScoredRound) -> list[JudgedGroup]:
        """The groups that are trained on; never none.

        Raises:
            RunFailed: no sample has a reward.
        """
        groups = list(scored.groups)
        if not groups:
            raise RunFailed(
                f"step {self.state.step + 1}: reward.function failed on each of "
                f"{len(scored.failed)} samples"
            )
        informative = [group for group in groups if group.has_signal]
        return informative or groups if self.loop.resample_rounds else groups

    async def _broadcast(self, verify: bool) -> float:
        """Send the weights to the fleet under the next version; returns the seconds it took."""
        started = time.monotonic()
        # After a return to a checkpoint the fleet is ahead of the state; no version is used twice.
        version = max(self.state.weight_version, self.fleet.version) + 1
        await self.sync.push(self.fleet, version)
        seconds = time.monotonic() - started
        self.state.weight_version = version
        self.state.broadcasts += 1
        if verify or self.parity.wake_up_is_new():
            await self.parity.verify(version)
        return seconds

    def restarts(self) -> dict[str, int]:
        """Actors started again in the whole run, by role.

        Restarts in an earlier process count as far as its last checkpoint recorded them.
        """
        here = {
            "rollout": self.fleet.restarts,
            "collector": self.collectors.restarts,
            "learner": self.learner_restarts,
            "sandbox": self.pool.losses,
        }
        return {role: self._earlier_restarts.get(role, 0) + count for role, count in here.items()}

    def _count_time(self) -> None:
        self.state.total_s = self._earlier_s + time.monotonic() - self._began

    # ------------------------------------------------------------------------- checkpoints

    async def _checkpoint(self, first: bool = False) -> None:
        """Begin to write learner, schedule and state as one checkpoint; no sample is under way.

        The first update waits for the `first` of a run.
        """
        self.ledger.check_empty()
        await self.rollouts.flush()
        self.state.ledger = self.ledger.totals
        self.state.restarts = self.restarts()
        self._count_time()
        state = {"state": asdict(self.state), "schedule": self.schedule.state_dict()}
        content = json.dumps(state)
        if first:
            self._first_content = content
        await self._checkpoints.begin(self.state.step, content, first)

    async def restore(self, checkpoint: Path) -> None:
        """Continue from a checkpoint: state, schedule and learner.

        Raises:
            RunFailed: the checkpoint does not hold what this version reads.
        """
        path = checkpoint / "trainer.json"
        try:
            self._take(path.read_text())
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise RunFailed(f"{path}: not a readable checkpoint: {error!r}") from error
        await self.learner.load_checkpoint(checkpoint / "learner")
        self.folder.truncate_metrics(self.state.step)
        truncate_rollouts(self.folder.rollouts, self.state.step)

    def _take(self, content: str) -> None:
        """Continue from the state and the schedule of a checkpoint."""
        read = json.loads(content)
        self.state = TrainerState(**read["state"])
        self.ledger = Ledger(self.state.ledger)
        self.schedule.load_state_dict(read["schedule"])

    async def _return_to_checkpoint(self, lost: ActorLost, returns: list[int]) -> None:
        """Start the learner again and continue from the last checkpoint.

        Args:
            lost: what happened to the learner.
            returns: the steps of the checkpoints returned to so far; this one is added.

        Raises:
            RunFailed: the learner was lost too often since one checkpoint, or there is none.
        """
        await self._checkpoints.abandon()
        checkpoint = self.folder.latest()
        if checkpoint is None and self.state.step:
            raise RunFailed(
                f"the learner was lost after step {self.state.step}, and no checkpoint in "
                f"{self.folder.checkpoints} is whole: {lost}"
            ) from lost
        step = checkpoint_step(checkpoint) if checkpoint else -1
        returns.append(step)
        if returns.count(step) > self.loop.learner_restarts:
            raise RunFailed(
                f"the learner was lost {returns.count(step)} times since "
                f"{checkpoint or 'the start'} (loop.learner_restarts): {lost}"
            ) from lost
        where = checkpoint.name if checkpoint else "the start"
        reason = str(lost).splitlines()[0]
        logger.warning("the learner is started again from %s: %s", where, reason)
        self.learner_restarts += 1
        await self._rounds.cancel()
        await self.rollouts.flush()
        self.ledger.forget()
        await self.fleet.sleep()
        await self.learner.restart()
        if checkpoint is not None:
            await self.restore(checkpoint)
        elif self._first_content is not None:  # a round was begun while it was written
            self._take(self._first_content)

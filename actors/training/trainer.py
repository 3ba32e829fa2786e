"""Trainer: the loop of StepCoder, on real actors.

    sample subtasks -> generate -> judge each completion as it ends -> observe -> PPO -> broadcast

With `loop.max_staleness: 0` it is strictly on-policy: every sample is written by the weights it
trains. From 1 on, the fleet writes the next rounds while the learner learns.

A rollout engine or a sandbox that dies is replaced below this module (`rollout_fleet.py`,
`sandbox_pool.py`). When the learner dies, it is started again here, and the run goes back to its
last checkpoint.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from actors.config import LoopConfig
from actors.errors import ActorLost, RunFailed
from actors.learners.group import LearnerGroup
from actors.rollout.collector import Collected, Collector, rollout_figures
from actors.rollout.ledger import Ledger
from actors.rollout.samples import Sample, outcome_mix, split_faults, trajectory, trajectory_groups
from actors.runs.folder import RunFolder, append_jsonl
from actors.runs.metrics import MetricsLog
from actors.runs.rollout_log import rollout_records
from actors.training.console import evaluation_line, step_line
from actors.training.evaluate import Evaluation, evaluate
from actors.training.weight_parity import WeightProbe
from actors.training.weight_sync import WeightSync
from curriculum.files import write_atomic
from curriculum.problem import Problem
from curriculum.schedule.make import Schedule
from learner.config import RewardConfig
from sandbox import Outcome


@dataclass
class Progress:
    """Everything a resumed run needs beside the learner and the schedule."""

    step: int = 0
    """RL steps done."""
    weight_version: int = 0
    """Version the fleet holds; the first push makes it 1."""
    next_sample: int = 0
    """Id of the next sample."""
    broadcasts: int = 0
    """Weight broadcasts, first pushes included."""
    starts: int = 0
    """Times that the run was started, resumed or went back on its way here; each pushed the
    weights once."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by stage, summed over steps [seconds]."""
    restarts: dict[str, int] = field(default_factory=dict)
    """Actors started again, by role."""
    total_s: float = 0.0
    """Wall time in all, without loading, also of the processes before this one [seconds]."""
    ledger: dict[str, int] = field(default_factory=dict)
    """Samples by stage reached and by fate (`Ledger`)."""
    before: dict[str, Any] | None = None
    """The evaluation before the first step."""


@dataclass
class Trainer:
    """Runs the loop. `run()` returns the last evaluation; `progress` and `probe` tell the rest."""

    loop: LoopConfig
    rewards: RewardConfig
    samples_per_prompt: int
    schedule: Schedule
    heldout: Sequence[Problem]
    collector: Collector
    learner: LearnerGroup
    sync: WeightSync
    probe: WeightProbe
    folder: RunFolder
    log: MetricsLog
    say: Callable[[str], None]
    progress: Progress = field(default_factory=Progress)
    ledger: Ledger = field(default_factory=Ledger)
    learner_restarts: int = 0
    """Times the learner was started again."""
    _rounds: deque[asyncio.Task[Collected]] = field(default_factory=deque)
    _began: float = 0.0
    _before_s: float = 0.0
    _restarts_before: dict[str, int] = field(default_factory=dict)

    async def run(self) -> Evaluation:
        """Train from the current step to the last; returns the evaluation after it.

        Raises:
            TimeoutError: a stage missed its deadline; the message names it.
            RunFailed: a part failed for good, or an engine does not hold the weights it was sent.
        """
        self._began, self._before_s = time.monotonic(), self.progress.total_s
        self._restarts_before = self.progress.restarts
        lost: ActorLost | None = None
        losses: list[int] = []
        try:
            while True:
                try:
                    if lost is not None:
                        await self._go_back(lost, losses)
                    return await self._train()
                except ActorLost as error:
                    lost = error
        finally:
            await self._cancel_rounds()

    async def _train(self) -> Evaluation:
        self.progress.starts += 1
        await self._broadcast(verify=True)
        if self.progress.before is None:
            self.progress.before = asdict(await self._evaluate("before RL"))
        if self.folder.latest() is None:
            await self._checkpoint()  # from here on there is one to go back to
        while self.progress.step < self.loop.steps:
            started = time.monotonic()
            row = await self._step()
            step = self.progress.step
            self.log.write(step, row | {"seconds/step": time.monotonic() - started})
            self.say(step_line(step, self.loop.steps, row, time.monotonic() - started))
            if self._saves_at(step):
                await self._checkpoint()
            if step < self.loop.steps and _due(step, self.loop.eval_every):
                await self._evaluate(f"step {step}")
        await self.learner.save_pretrained(self.folder.policy)
        after = await self._evaluate("after RL")
        self._count_time()
        return after

    async def _step(self) -> dict[str, float]:
        """One RL step; returns its figures."""
        progress = self.progress
        self._ask_ahead()
        started = time.monotonic()
        collected = await self._rounds[0]
        self._rounds.popleft()
        waited_s = time.monotonic() - started
        ahead = self.sync.fleet.outstanding

        judged, faults = split_faults(collected.samples)
        if not judged:
            raise RunFailed(
                f"step {progress.step + 1}: the sandbox could judge none of {len(faults)} "
                f"programs; the first said: {faults[0].verdict.error}"
            )
        staleness = [progress.weight_version - s.completion.weight_version for s in judged]
        if max(staleness) > self.loop.max_staleness:
            raise RunFailed(
                f"step {progress.step + 1}: a sample is {max(staleness)} updates old, and "
                f"loop.max_staleness is {self.loop.max_staleness}"
            )
        self._observe(collected.samples)

        trajectories = [trajectory(sample, self.rewards) for sample in judged]
        started = time.monotonic()
        await self.sync.fleet.rest()
        learned = await self.learner.update(trajectory_groups(judged, trajectories))
        learn_s = time.monotonic() - started

        counts = self.ledger.close(
            (sample.sample_id for sample in judged),
            {fault.sample_id: fault.verdict.outcome.value for fault in faults},
        )
        progress.step += 1
        last = progress.step == self.loop.steps
        broadcast_s = await self._broadcast(last or _due(progress.step, self.loop.verify_every))
        for fate, samples in counts.items():
            self.log.count(fate, samples)
        if progress.step % self.loop.sample_every == 1 or self.loop.sample_every == 1 or last:
            append_jsonl(self.folder.rollouts, rollout_records(progress.step, judged, trajectories))
        seconds = {
            "rollout": collected.rollout_s,
            "sandbox": collected.sandbox_s,
            "wait": waited_s,
            "learn": learn_s,
            "broadcast": broadcast_s,
        }
        self._spend(seconds)
        return {
            "reward": fmean(t.reward for t in trajectories),
            "pass_rate": outcome_mix(judged)["passed"],
            **{f"outcome/{name}": share for name, share in outcome_mix(judged).items()},
            **{f"curriculum/{name}": value for name, value in self.schedule.metrics().items()},
            **{f"learner/{name}": value for name, value in learned.items()},
            **rollout_figures(collected),
            **{f"seconds/{name}": value for name, value in seconds.items()},
            **{f"ledger/{fate}": float(samples) for fate, samples in counts.items()},
            "overlap": max(0.0, 1 - waited_s / (collected.rollout_s + collected.sandbox_s)),
            "rollout/outstanding_tokens": float(ahead),
            "staleness/mean": fmean(staleness),
            "staleness/max": float(max(staleness)),
            **{f"restarts/{role}": float(count) for role, count in self.restarts().items()},
            "weights/version": float(progress.weight_version),
            "weights/bytes": float(self.sync.bytes),
        }

    def _ask_ahead(self) -> None:
        """Ask every round that may be under way now.

        The capacity rule: a round is asked when at most `max_staleness` updates lie between the
        weights it begins with and the step that trains on it, so that none is born too old. No
        round is asked across a checkpoint or an evaluation: nothing is under way there.
        """
        progress = self.progress
        barrier = next(n for n in range(progress.step + 1, self.loop.steps + 1) if self._pauses(n))
        end = min(progress.step + self.loop.max_staleness + 1, barrier)
        for _ in range(progress.step + len(self._rounds), end):
            subtasks = self.schedule.sample(self.loop.prompts_per_step)
            first = progress.next_sample
            progress.next_sample += len(subtasks) * self.samples_per_prompt
            self.ledger.asked(range(first, progress.next_sample))
            # A round may have to wait for those asked before it.
            deadline_s = self.loop.step_timeout_s * (1 + len(self._rounds))
            work = self.collector.collect(
                subtasks, self.samples_per_prompt, first, deadline_s, self.ledger
            )
            self._rounds.append(asyncio.create_task(work))

    def _saves_at(self, step: int) -> bool:
        return step == self.loop.steps or _due(step, self.loop.checkpoint_every)

    def _pauses(self, step: int) -> bool:
        return self._saves_at(step) or _due(step, self.loop.eval_every)

    async def _cancel_rounds(self) -> None:
        for work in self._rounds:
            work.cancel()
        await asyncio.gather(*self._rounds, return_exceptions=True)
        self._rounds.clear()

    async def _go_back(self, lost: ActorLost, losses: list[int]) -> None:
        """Start the learner again and continue from the last checkpoint.

        Args:
            lost: what happened to the learner.
            losses: the checkpoints' steps gone back to so far; this one is added.

        Raises:
            RunFailed: it was lost too often since the same checkpoint, or there is none.
        """
        checkpoint = self.folder.latest()
        if checkpoint is None and self.progress.step:
            raise RunFailed(
                f"the learner was lost after step {self.progress.step}, and no checkpoint in "
                f"{self.folder.checkpoints} is whole: {lost}"
            ) from lost
        step = int(checkpoint.name.removeprefix("step-")) if checkpoint else -1
        losses.append(step)
        if losses.count(step) > self.loop.learner_restarts:
            raise RunFailed(
                f"the learner was lost {losses.count(step)} times since "
                f"{checkpoint or 'the start'} (loop.learner_restarts): {lost}"
            ) from lost
        where = checkpoint.name if checkpoint else "the start"
        self.say(f"the learner is started again, back to {where}: {str(lost).splitlines()[0]}")
        self.learner_restarts += 1
        await self._cancel_rounds()
        self.ledger.forget()
        await self.sync.fleet.rest()
        await self.learner.restart()
        if checkpoint is not None:
            await self.restore(checkpoint)

    def _observe(self, samples: Sequence[Sample]) -> None:
        """Tell the schedule how each visit went; also where none of its samples could be judged."""
        visits: dict[int, list[Sample]] = {}
        for sample in samples:
            visits.setdefault(sample.subtask.visit, []).append(sample)
        for visit in visits.values():
            judged, _ = split_faults(visit)
            self.schedule.observe(
                visit[0].subtask,
                passed=sum(s.verdict.outcome is Outcome.passed for s in judged),
                attempts=len(judged),
                weight_version=min(sample.completion.weight_version for sample in visit),
            )

    async def _broadcast(self, verify: bool) -> float:
        """Send the weights to the fleet, under the next version; returns the seconds it took."""
        started = time.monotonic()
        # A run that went back must not use the number of weights that some engine once held.
        version = max(self.progress.weight_version, self.sync.fleet.version) + 1
        await self.sync.push(version)
        seconds = time.monotonic() - started
        self.progress.weight_version = version
        self.progress.broadcasts += 1
        if verify:
            await self.probe.verify(version)
        return seconds

    async def _evaluate(self, when: str) -> Evaluation:
        result = await evaluate(
            self.collector, self.heldout, self.loop.eval_samples, self.loop.step_timeout_s
        )
        self._spend({"evaluate": result.seconds})
        self.say(evaluation_line(when, result))
        return result

    def restarts(self) -> dict[str, int]:
        """Actors started again so far, by role; of the processes before this one, as far as the
        checkpoint knew."""
        here = {
            "rollout": self.sync.fleet.restarts,
            "learner": self.learner_restarts,
            "sandbox": self.collector.pool.losses,
        }
        return {role: self._restarts_before.get(role, 0) + count for role, count in here.items()}

    def _count_time(self) -> None:
        self.progress.total_s = self._before_s + time.monotonic() - self._began

    def _spend(self, seconds: dict[str, float]) -> None:
        for stage, value in seconds.items():
            self.progress.seconds[stage] = self.progress.seconds.get(stage, 0.0) + value

    async def _checkpoint(self) -> None:
        """Write learner, schedule and progress as one checkpoint; no sample may be under way."""
        self.ledger.check_empty()
        self.progress.ledger = self.ledger.totals
        self.progress.restarts = self.restarts()
        self._count_time()
        step = self.progress.step
        with self.folder.checkpoint(step, self.loop.keep_checkpoints) as partial:
            await self.learner.save_checkpoint(partial / "learner")
            state = {"progress": asdict(self.progress), "schedule": self.schedule.state_dict()}
            write_atomic(partial / "trainer.json", json.dumps(state))

    async def restore(self, checkpoint: Path) -> None:
        """Continue from a checkpoint: learner, schedule and progress.

        Raises:
            ValueError: the checkpoint does not hold what this version reads.
        """
        path = checkpoint / "trainer.json"
        try:
            state = json.loads(path.read_text())
            self.progress = Progress(**state["progress"])
            self.ledger = Ledger(self.progress.ledger)
            self.schedule.load_state_dict(state["schedule"])
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: not a readable checkpoint: {error!r}") from error
        await self.learner.load_checkpoint(checkpoint / "learner")
        self.folder.truncate_metrics(self.progress.step)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0

"""Trainer: the loop of StepCoder, on real actors.

    sample subtasks -> generate -> judge each completion as it ends -> observe -> PPO -> broadcast

Strictly on-policy: every sample is written by the weights it trains.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from actors.collect import Collected, Collector, Sample
from actors.config import LoopConfig
from actors.errors import RunFailed
from actors.evaluate import Evaluation, evaluate
from actors.learner import LearnerGroup
from actors.metrics import MetricsLog
from actors.probe import WeightProbe
from actors.progress import evaluation_line, step_line
from actors.rollout_record import rollout_records
from actors.run_folder import RunFolder, append_jsonl, write_atomic
from actors.trajectories import outcome_mix, split_faults, trajectory
from curriculum.problem import Problem
from curriculum.schedule import Schedule
from learner.config import RewardConfig


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
    """Times the run was started or resumed: each pushes the weights once."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by stage, summed over steps [seconds]."""
    ledger: dict[str, int] = field(default_factory=dict)
    """Samples by fate: asked, trained, dropped."""
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
    probe: WeightProbe
    folder: RunFolder
    log: MetricsLog
    say: Callable[[str], None]
    progress: Progress = field(default_factory=Progress)

    async def run(self) -> Evaluation:
        """Train from the current step to the last; returns the evaluation after it.

        Raises:
            TimeoutError: a stage missed its deadline; the message names it.
            RunFailed: an actor failed, or an engine does not hold the weights it was sent.
        """
        self.progress.starts += 1
        await self._broadcast(verify=True)
        if self.progress.before is None:
            self.progress.before = asdict(await self._evaluate("before RL"))
        while self.progress.step < self.loop.steps:
            started = time.monotonic()
            row = await self._step()
            step = self.progress.step
            self.log.write(step, row | {"seconds/step": time.monotonic() - started})
            self.say(step_line(step, self.loop.steps, row, time.monotonic() - started))
            last = step == self.loop.steps
            if last or _due(step, self.loop.checkpoint_every):
                await self._checkpoint()
            if not last and _due(step, self.loop.eval_every):
                await self._evaluate(f"step {step}")
        return await self._evaluate("after RL")

    async def _step(self) -> dict[str, float]:
        """One RL step; returns its figures."""
        progress = self.progress
        subtasks = self.schedule.sample(self.loop.prompts_per_step)
        collected = await self.collector.collect(
            subtasks, self.samples_per_prompt, progress.next_sample, self.loop.step_timeout_s
        )
        progress.next_sample += len(collected.samples)
        judged, faults = split_faults(collected.samples)
        self._settle(asked=len(collected.samples), trained=len(judged), dropped=len(faults))
        self._observe(judged)

        started = time.monotonic()
        trajectories = [trajectory(sample, self.rewards) for sample in judged]
        learned = await self.learner.update(trajectories)
        learn_s = time.monotonic() - started

        progress.step += 1
        last = progress.step == self.loop.steps
        broadcast_s = await self._broadcast(last or _due(progress.step, self.loop.verify_every))
        if progress.step % self.loop.sample_every == 1 or self.loop.sample_every == 1 or last:
            append_jsonl(self.folder.rollouts, rollout_records(progress.step, judged, trajectories))
        seconds = {
            "rollout": collected.rollout_s,
            "sandbox": collected.sandbox_s,
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
            **_rollout_figures(collected),
            **{f"seconds/{name}": value for name, value in seconds.items()},
            "dropped": float(len(faults)),
            "weight_version": float(progress.weight_version),
        }

    def _observe(self, judged: Sequence[Sample]) -> None:
        """Tell the schedule how each subtask went, once per problem and stage."""
        visits: dict[tuple[str, int], list[Sample]] = {}
        for sample in judged:
            key = (sample.subtask.problem.id, sample.subtask.stage)
            visits.setdefault(key, []).append(sample)
        for (problem_id, stage), samples in visits.items():
            self.schedule.observe(
                problem_id,
                stage,
                passed=sum(s.verdict.outcome.value == "passed" for s in samples),
                attempts=len(samples),
                weight_version=samples[0].completion.weight_version,
            )

    def _settle(self, asked: int, trained: int, dropped: int) -> None:
        """Close the step's ledger: every sample asked is trained on or dropped with a count.

        Raises:
            RunFailed: nothing is left to train on.
        """
        if not trained:
            raise RunFailed(
                f"step {self.progress.step + 1}: the sandbox could judge none of {asked} programs; "
                f"see the last verdicts with `ray logs` and check the Docker engine"
            )
        for fate, samples in (("asked", asked), ("trained", trained), ("dropped", dropped)):
            self.progress.ledger[fate] = self.progress.ledger.get(fate, 0) + samples
            self.log.count(fate, samples)

    async def _broadcast(self, verify: bool) -> float:
        """Send the weights to the fleet, under the next version; returns the seconds it took."""
        version = self.progress.weight_version + 1
        started = time.monotonic()
        await self.learner.broadcast(version)
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

    def _spend(self, seconds: dict[str, float]) -> None:
        for stage, value in seconds.items():
            self.progress.seconds[stage] = self.progress.seconds.get(stage, 0.0) + value

    async def _checkpoint(self) -> None:
        """Write learner, schedule and progress as one checkpoint."""
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
            self.schedule.load_state_dict(state["schedule"])
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: not a readable checkpoint: {error!r}") from error
        await self.learner.load_checkpoint(checkpoint / "learner")
        self.folder.truncate_metrics(self.progress.step)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _rollout_figures(collected: Collected) -> dict[str, float]:
    tokens = sum(len(sample.completion.token_ids) for sample in collected.samples)
    verdicts = [sample.verdict for sample in collected.samples]
    return {
        "rollout/tokens": float(tokens),
        "rollout/tokens_per_s": tokens / max(collected.rollout_s, 1e-9),
        "rollout/cut_short": fmean(
            sample.completion.finish_reason == "length" for sample in collected.samples
        ),
        "sandbox/program_ms": 1e3 * fmean(verdict.wall_seconds for verdict in verdicts),
    }
